import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { machine, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BpfObject, type Log } from '../../src/native/libbpf.ts';

const SOURCE = fileURLToPath(new URL('./fixtures/native.bpf.c', import.meta.url));
const TARGET_ARCH: Readonly<Record<string, string>> = { x86_64: 'x86', aarch64: 'arm64', riscv64: 'riscv' };

/** Compiles fixtures/native.bpf.c into a directory of its own. */
export function compileFixture(): { readonly file: string; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), 'native-bpf-'));
  const file = join(directory, 'native.bpf.o');
  // Debian keeps <asm/types.h> where the bpf target does not look.
  const include = `/usr/include/${machine()}-linux-gnu`;
  const define = `-D__TARGET_ARCH_${TARGET_ARCH[machine()]}`;
  execFileSync(
    'clang',
    '-O2 -g -Wall -Werror -target bpf'.split(' ').concat(define, '-idirafter', include, '-c', SOURCE, '-o', file),
  );
  return { file, remove: () => rmSync(directory, { recursive: true }) };
}

/** A fixture that listens to this process: open, not loaded. */
export function openFixture(source: string | Uint8Array, options: { step?: bigint; log?: Log } = {}): BpfObject {
  const object = BpfObject.open(source, { name: 'native', ...(options.log && { log: options.log }) });
  object.setRodata('watched_tgid', u32(process.pid));
  object.setRodata('step', u64(options.step ?? 1n));
  return object;
}

/** What the fixture hears. The name is this thread's own, and nobody else cares for it. */
export function rename(times = 1): void {
  for (let time = 0; time < times; time++) writeFileSync('/proc/thread-self/comm', `native-${time}`);
}

export const u32 = (value: number): Uint8Array => new Uint8Array(new Uint32Array([value]).buffer);
export const u64 = (value: bigint): Uint8Array => new Uint8Array(new BigUint64Array([value]).buffer);
export const readU32 = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
export const readU64 = (bytes: Uint8Array): bigint =>
  new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);

/** What this process holds of BPF: programs, maps, links, iterators. */
export function bpfDescriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.includes('bpf') ? [target] : [];
    } catch {
      // The directory's own descriptor is gone by now.
      return [];
    }
  });
}
