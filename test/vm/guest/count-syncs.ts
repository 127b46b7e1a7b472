/** Runs in the guest: loads count-syncs.bpf.o by the project's own binding, and writes how many syncs it has seen to /vm. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { BpfObject, variableOffset } from '../../../src/native/libbpf.ts';

const object = BpfObject.open('/vm/count-syncs.bpf.o');
object.load();
object.attach('count_sync');
// A prime number: no doubling and no loss can make it up.
execFileSync('sh', ['-c', 'for i in 1 2 3 4 5 6 7; do sync; done']);

const globals = object.map('.bss');
const memory = globals.lookup(Buffer.alloc(globals.keySize));
if (memory === null) throw new Error('the object has no global memory');
const { offset } = variableOffset(globals, 'syncs');
writeFileSync('/vm/syncs', String(Buffer.from(memory).readBigUInt64LE(offset)));
object.close();
