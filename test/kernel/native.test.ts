import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Epoll } from '../../src/native/epoll.ts';
import { KernelBtf } from '../../src/native/kernel-btf.ts';
import {
  BpfObject,
  libbpfVersion,
  NativeError,
  possibleCpus,
  RingBuffer,
  variableOffset,
} from '../../src/native/libbpf.ts';
import { bpfDescriptors, compileFixture, openFixture, readU32, readU64, rename, u32, u64 } from './native-fixture.ts';

/** Flags of BpfMap.update(). */
const NOEXIST = 1;
const EXIST = 2;

let fixture: ReturnType<typeof compileFixture>;
beforeAll(() => {
  fixture = compileFixture();
});
afterAll(() => fixture.remove());

const opened: BpfObject[] = [];
const keep = (object: BpfObject): BpfObject => {
  opened.push(object);
  return object;
};
afterEach(() => {
  for (const object of opened.splice(0)) object.close();
});

const open = (options: Parameters<typeof openFixture>[1] = {}) => keep(openFixture(fixture.file, options));
const load = (options: Parameters<typeof openFixture>[1] = {}) => {
  const object = open(options);
  object.load();
  return object;
};

/** The error that an action throws. */
function failureOf(action: () => unknown): NativeError {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(NativeError);
    return error as NativeError;
  }
  throw new Error('expected a NativeError, nothing was thrown');
}

describe('the library', () => {
  it('is version 1', () => {
    expect(libbpfVersion()).toMatch(/^v1\.\d+/);
  });

  it('counts the possible CPUs as the kernel does', () => {
    const ranges = readFileSync('/sys/devices/system/cpu/possible', 'utf8').trim().split(',');
    const count = ranges.reduce((sum, range) => {
      const [first, last = first] = range.split('-').map(Number);
      return sum + last! - first! + 1;
    }, 0);
    expect(possibleCpus()).toBe(count);
  });
});

describe('an object', () => {
  it('goes from a file through its whole life: constants, load, attach, count, detach', () => {
    const object = load({ step: 3n });
    const link = object.attach('on_rename');
    rename(10);
    const variables = object.map('.bss');
    const bss = variables.lookup(u32(0))!;
    const { offset, size } = variableOffset(variables, 'total');
    expect(size).toBe(8);
    expect(readU64(bss.slice(offset))).toBe(30n);
    link.close();
    rename(5);
    expect(variables.lookup(u32(0))).toEqual(bss);
    expect(() => link.fd).toThrow("link of program 'on_rename' is closed");
  });

  it('opens from bytes, which may change afterwards', () => {
    const bytes = readFileSync(fixture.file);
    const object = keep(openFixture(bytes));
    bytes.fill(0);
    object.load();
    object.attach('on_rename');
    rename();
    expect(readU64(object.map('.bss').lookup(u32(0))!)).toBe(1n);
  });

  it('takes its name from the caller, or from the file', () => {
    expect(open().name).toBe('native');
    expect(keep(BpfObject.open(readFileSync(fixture.file), { name: 'other' })).name).toBe('other');
    expect(keep(BpfObject.open(fixture.file)).name).toMatch(/^native/);
  });

  it('knows its programs', () => {
    const object = open();
    expect(object.hasProgram('on_rename')).toBe(true);
    expect(object.hasProgram('nothing_like_it')).toBe(false);
  });

  it('loads the programs that were chosen', () => {
    const object = open();
    object.setAutoload('on_rename', false);
    object.load();
    expect(failureOf(() => object.attach('on_rename')).operation).toBe(
      "attach program 'on_rename' of BPF object 'native'",
    );
    expect(object.iterate('list_threads').length).toBeGreaterThan(0);
  });

  it('says what it does not have', () => {
    const object = open();
    expect(() => object.map('nope')).toThrow("find map 'nope' of BPF object 'native': ENOENT");
    expect(() => object.setAutoload('nope', true)).toThrow("find program 'nope' of BPF object 'native': ENOENT");
    expect(() => object.setRodata('nope', u32(1))).toThrow(
      "BPF object 'native' has no variable 'nope' in .rodata; it has: step, watched_tgid",
    );
    expect(() => variableOffset(object.map('counts'), 'x')).toThrow("no variable 'x' in counts; it has: none");
    expect(() => object.setRodata('step', u32(1))).toThrow("constant 'step' of BPF object 'native' has 8 bytes, got 4");
  });

  it('keeps to its order of steps', () => {
    const object = open();
    expect(() => object.attach('on_rename')).toThrow("BPF object 'native' is not loaded");
    expect(() => object.iterate('list_threads')).toThrow("BPF object 'native' is not loaded");
    expect(() => object.map('counts').lookup(u32(0))).toThrow("map 'counts' does not exist yet: load() comes first");
    expect(() => object.map('slots').mmap()).toThrow("map 'slots' does not exist yet");
    expect(() => new RingBuffer(object.map('events'), () => undefined)).toThrow("map 'events' does not exist yet");
    object.load();
    expect(() => object.load()).toThrow("BPF object 'native' is loaded: too late for load()");
    expect(() => object.setRodata('step', u64(2n))).toThrow('too late for setRodata()');
    expect(() => object.setAutoload('on_rename', false)).toThrow('too late for setAutoload()');
    expect(() => object.map('counts').setMaxEntries(1)).toThrow("map 'counts' is loaded");
  });

  it('attaches wherever the section says; what says nothing is refused', () => {
    const object = open();
    object.setAutoload('nowhere', true);
    object.load();
    expect(failureOf(() => object.attach('nowhere'))).toMatchObject({
      operation: "attach program 'nowhere' of BPF object 'native'",
      errnoName: 'EOPNOTSUPP',
    });
    expect(() => object.attach('nope')).toThrow('ENOENT');
  });
});

describe('an object that cannot be opened or loaded', () => {
  it.each([
    ['a file that does not exist', '/nonexistent/x.bpf.o', 'open BPF object /nonexistent/x.bpf.o', 'ENOENT'],
    ['a file of another kind', process.execPath, `open BPF object ${process.execPath}`, 'LIBBPF_ERRNO__FORMAT'],
    ['bytes of another kind', new Uint8Array(100), "open BPF object 'memory'", 'LIBBPF_ERRNO__FORMAT'],
    ['no bytes', new Uint8Array(0), "open BPF object 'memory'", 'EINVAL'],
  ])('says so: %s', (_case, source, operation, errnoName) => {
    expect(failureOf(() => BpfObject.open(source))).toMatchObject({ operation, errnoName });
  });

  it('names the program that the verifier refused, and carries its log', () => {
    const object = open();
    object.setAutoload('unchecked_lookup', true);
    const error = failureOf(() => object.load());
    expect(error.errnoName).toBe('EACCES');
    expect(error.message).toBe(
      "load BPF object 'native': EACCES (permission denied): " +
        "the kernel refused program 'unchecked_lookup': R0 invalid mem access 'map_value_or_null'",
    );
    expect(error.log).toMatch(/BEGIN PROG LOAD LOG[^]*return \*value[^]*END PROG LOAD LOG/);
    expect(() => object.load()).toThrow("BPF object 'native' failed to load and can only be closed");
    expect(() => object.attach('on_rename')).toThrow('is not loaded');
  });

  it('says which tracepoint the kernel does not have', () => {
    const object = open();
    object.setAutoload('hears_nothing', true);
    const error = failureOf(() => object.load());
    expect(error.errnoName).toBe('ESRCH');
    expect(error.message).toContain("prog 'hears_nothing'");
    expect(error.message).toContain("'no_such_tracepoint'");
  });

  it("leaves the other object's program as it was", () => {
    const good = load();
    good.attach('on_rename');
    const bad = open();
    bad.setAutoload('unchecked_lookup', true);
    failureOf(() => bad.load());
    bad.close();
    rename();
    expect(readU64(good.map('.bss').lookup(u32(0))!)).toBe(1n);
  });
});

describe("libbpf's words", () => {
  it('reach the log of the object that they are about, by level', () => {
    const lines: string[] = [];
    const object = open({ log: (level, text) => lines.push(`${level}: ${text}`) });
    const silent = open();
    const before = lines.length;
    expect(before).toBeGreaterThan(0);
    silent.load();
    expect(lines.length).toBe(before);
    object.setAutoload('unchecked_lookup', true);
    failureOf(() => object.load());
    expect(lines.some((line) => /^debug: libbpf: /.test(line))).toBe(true);
    expect(lines.some((line) => /^warn: libbpf: prog 'unchecked_lookup': BPF program load failed/.test(line))).toBe(
      true,
    );
    expect(lines.every((line) => !line.endsWith('\n'))).toBe(true);
  });

  it('cannot harm: a log function that throws does so after the call is over', () => {
    let quiet = true;
    const object = open({
      log: () => {
        if (!quiet) throw new Error('disk full');
      },
    });
    quiet = false;
    expect(() => object.load()).toThrow('disk full');
    quiet = true;
    object.attach('on_rename');
    rename();
    expect(readU64(object.map('.bss').lookup(u32(0))!)).toBe(1n);
  });
});

describe('a map', () => {
  it('has the size that the object says, or that was set before load', () => {
    const object = open();
    const counts = object.map('counts');
    expect(counts).toMatchObject({ name: 'counts', keySize: 4, valueSize: 8, maxEntries: 4096 });
    counts.setMaxEntries(2);
    object.load();
    expect(counts.maxEntries).toBe(2);
    counts.update(u32(1), u64(1n));
    counts.update(u32(2), u64(2n));
    expect(failureOf(() => counts.update(u32(3), u64(3n)))).toMatchObject({
      operation: "update map 'counts'",
      errnoName: 'E2BIG',
    });
    expect(object.map('counts')).toBe(counts);
  });

  it('looks up, updates and deletes', () => {
    const counts = load().map('counts');
    expect(counts.lookup(u32(7))).toBeNull();
    counts.update(u32(7), u64(49n));
    expect(counts.lookup(u32(7))).toEqual(u64(49n));
    counts.update(u32(7), u64(50n), EXIST);
    expect(counts.lookup(u32(7))).toEqual(u64(50n));
    expect(failureOf(() => counts.update(u32(7), u64(51n), NOEXIST)).errnoName).toBe('EEXIST');
    expect(failureOf(() => counts.update(u32(8), u64(51n), EXIST)).errnoName).toBe('ENOENT');
    expect(counts.delete(u32(7))).toBe(true);
    expect(counts.delete(u32(7))).toBe(false);
    expect(counts.lookup(u32(7))).toBeNull();
  });

  it('takes keys and values that are part of something larger', () => {
    const counts = load().map('counts');
    const larger = Buffer.from([0xff, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0xff]);
    counts.update(larger.subarray(1, 5), larger.subarray(5, 13));
    expect(counts.lookup(u32(1))).toEqual(u64(9n));
  });

  it('refuses keys and values of another size', () => {
    const object = load();
    const counts = object.map('counts');
    expect(() => counts.lookup(new Uint8Array(3))).toThrow("key of map 'counts' has 3 bytes, expected 4");
    expect(() => counts.delete(new Uint8Array(0))).toThrow("key of map 'counts' has 0 bytes, expected 4");
    expect(() => counts.update(u32(1), u32(1))).toThrow("value of map 'counts' has 4 bytes, expected 8");
    const perCpuBytes = 16 * possibleCpus();
    expect(() => object.map('per_cpu').update(u32(0), new Uint8Array(12))).toThrow(`expected ${perCpuBytes}`);
  });

  it.each([0, 1, 100, 4096])('hands out all of %i entries, each once', (count) => {
    const counts = load().map('counts');
    for (let key = 0; key < count; key++) counts.update(u32(key), u64(BigInt(key) ** 2n));
    const seen = [...counts.entries()].map(([key, value]) => [readU32(key), readU64(value)] as const);
    expect(seen.length).toBe(count);
    const byKey = new Map(seen);
    expect(byKey.size).toBe(count);
    for (let key = 0; key < count; key++) expect(byKey.get(key)).toBe(BigInt(key) ** 2n);
  });

  it('hands out entries that own their memory', () => {
    const counts = load().map('counts');
    counts.update(u32(1), u64(2n));
    const [[key, value]] = [...counts.entries()] as [[Uint8Array, Uint8Array]];
    expect(new Uint32Array(key.buffer)).toEqual(new Uint32Array([1]));
    expect(new BigUint64Array(value.buffer)).toEqual(new BigUint64Array([2n]));
  });

  it('hands out entries one by one where the kernel has no batches', () => {
    const LOOPBACK = 1;
    const interfaces = load().map('interfaces');
    for (const key of [5, 6, 7]) interfaces.update(u32(key), u32(LOOPBACK));
    const seen = [...interfaces.entries()].map(([key, value]) => [readU32(key), readU32(value)]);
    expect(seen.sort()).toEqual([
      [5, LOOPBACK],
      [6, LOOPBACK],
      [7, LOOPBACK],
    ]);
    expect([...load().map('interfaces').entries()]).toEqual([]);
  });

  it('gives every slot of an array', () => {
    const slots = load().map('slots');
    slots.update(u32(3), u64(9n));
    expect([...slots.entries()].map(([, value]) => readU64(value))).toEqual([0n, 0n, 0n, 9n, 0n, 0n, 0n, 0n]);
  });

  it("holds each CPU's value, padded to 8 bytes", () => {
    const perCpu = load().map('per_cpu');
    const cpus = possibleCpus();
    expect(perCpu.valueSize).toBe(12);
    const value = new Uint8Array(16 * cpus);
    for (let cpu = 0; cpu < cpus; cpu++) value.fill(cpu + 1, cpu * 16, cpu * 16 + 12);
    perCpu.update(u32(1), value);
    expect(perCpu.lookup(u32(1))).toEqual(value);
    const entries = [...perCpu.entries()];
    expect(entries.map(([key]) => readU32(key))).toEqual([0, 1]);
    expect(entries[1]![1]).toEqual(value);
  });

  it('stops handing out entries when its object is closed', () => {
    const object = load();
    const counts = object.map('counts');
    for (let key = 0; key < 1000; key++) counts.update(u32(key), u64(0n));
    const entries = counts.entries();
    expect(entries.next().done).toBe(false);
    object.close();
    expect(() => [...entries]).toThrow("BPF object 'native' is closed");
  });
});

describe('memory of a map', () => {
  it('shows what programs write, with no call', () => {
    const object = load({ step: 2n });
    const slots = new BigUint64Array(object.map('slots').mmap().buffer);
    object.attach('on_rename');
    expect([...slots]).toEqual([0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n]);
    rename(9);
    expect([...slots]).toEqual([4n, 2n, 2n, 2n, 2n, 2n, 2n, 2n]);
  });

  it('shows programs what is written', () => {
    const object = load();
    object.attach('on_rename');
    const data = object.map('.data');
    const { offset } = variableOffset(data, 'first_sequence');
    const memory = data.mmap({ writable: true });
    const firstSequence = new BigUint64Array(memory.buffer, offset, 1);
    expect(firstSequence[0]).toBe(100n);
    firstSequence[0] = 5000n;
    const records: bigint[] = [];
    const events = new RingBuffer(object.map('events'), (bytes) => records.push(readU64(bytes)));
    rename(2);
    events.consume();
    expect(records).toEqual([5000n, 5001n]);
  });

  it('shows global variables at the places that variableOffset() gives', () => {
    const object = load({ step: 4n });
    object.attach('on_rename');
    const bss = object.map('.bss');
    const memory = bss.mmap();
    expect(memory.buffer.byteLength).toBe(bss.valueSize);
    const read = (name: string) => new BigUint64Array(memory.buffer, variableOffset(bss, name).offset, 1)[0];
    rename(3);
    expect([read('renames'), read('total')]).toEqual([3n, 12n]);
    const rodata = object.map('.rodata');
    const constants = new DataView(rodata.mmap().buffer);
    expect(constants.getUint32(variableOffset(rodata, 'watched_tgid').offset, true)).toBe(process.pid);
  });

  it('is refused where the kernel has none to share', () => {
    const object = load();
    expect(() => object.map('counts').mmap()).toThrow("map 'counts' cannot be mapped into memory: it is no array");
    expect(failureOf(() => object.map('.rodata').mmap({ writable: true })).errnoName).toBe('EPERM');
  });

  it('reads zeros once its object is closed', () => {
    const object = load();
    const memory = object.map('slots').mmap({ writable: true });
    const slots = new BigUint64Array(memory.buffer).fill(7n);
    expect(object.map('slots').lookup(u32(5))).toEqual(u64(7n));
    object.close();
    expect([...slots]).toEqual([0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n]);
    expect(() => memory.buffer).toThrow("memory of map 'slots' is closed");
  });
});

describe('a ring buffer', () => {
  const loadWithEvents = (onRecord: (sequence: bigint, events: RingBuffer) => void) => {
    const object = load();
    object.attach('on_rename');
    const events: RingBuffer = new RingBuffer(object.map('events'), (bytes) => onRecord(readU64(bytes), events));
    return { object, events };
  };

  it('hands out records in order, and wakes an epoll', () => {
    const records: bigint[] = [];
    const { events } = loadWithEvents((sequence) => records.push(sequence));
    const epoll = new Epoll<string>();
    epoll.add(events.epollFd, 'events');
    expect(epoll.wait(0)).toEqual([]);
    expect(events.consume()).toBe(0);
    rename(3);
    expect(epoll.wait(1000)).toEqual(['events']);
    expect(events.consume()).toBe(3);
    expect(records).toEqual([100n, 101n, 102n]);
    expect(epoll.wait(0)).toEqual([]);
    epoll.close();
  });

  it('hands out the rest with the next call when a record is choked on', () => {
    const records: bigint[] = [];
    const { events } = loadWithEvents((sequence) => {
      records.push(sequence);
      if (sequence === 101n) throw new Error('indigestible');
    });
    rename(4);
    expect(() => events.consume()).toThrow('indigestible');
    expect(records).toEqual([100n, 101n]);
    rename();
    expect(events.consume()).toBe(3);
    expect(records).toEqual([100n, 101n, 102n, 103n, 104n]);
  });

  it('may be closed from inside, with its object or without', () => {
    for (const withObject of [false, true]) {
      let seen = 0;
      const { object, events } = loadWithEvents((_sequence, self) => {
        seen++;
        if (withObject) object.close();
        else self.close();
      });
      rename(3);
      expect(events.consume()).toBe(1);
      expect(seen).toBe(1);
      expect(() => events.consume()).toThrow("ring buffer 'events' is closed");
    }
  });

  it('drops what does not fit and goes on', () => {
    const records: bigint[] = [];
    const { events } = loadWithEvents((sequence) => records.push(sequence));
    rename(300);
    events.consume();
    // 4,096 bytes hold 255 records of 8 bytes and their headers: the kernel keeps the last place free.
    expect(records.length).toBe(255);
    rename();
    events.consume();
    expect(records.at(-1)).toBe(400n);
  });

  it('opens over ring buffers alone', () => {
    const object = load();
    const error = failureOf(() => new RingBuffer(object.map('counts'), () => undefined));
    expect(error.message).toMatch(
      /^open ring buffer 'counts': EINVAL \(invalid argument\): .*is not BPF_MAP_TYPE_RINGBUF$/,
    );
  });
});

describe('an iterator', () => {
  it('visits every thread', () => {
    const object = load();
    const threads = () => readdirSync('/proc/self/task').map(Number);
    const before = threads();
    const listed = new Uint32Array(object.iterate('list_threads').buffer);
    // Those that were there all the time.
    const ours = threads().filter((tid) => before.includes(tid));
    expect(ours).toContain(process.pid);
    expect([...listed]).toEqual(expect.arrayContaining(ours));
    expect(new Set(listed).size).toBe(listed.length);
  });

  it('visits the elements of the map that it is given, again and again', () => {
    const object = load();
    const counts = object.map('counts');
    const COUNT = 2000;
    for (let key = 0; key < COUNT; key++) counts.update(u32(key), u64(BigInt(key)));
    const slots = object.map('slots');
    for (let run = 0; run < 3; run++) {
      const bytes = object.iterate('list_entries', counts);
      expect(bytes.length).toBe(COUNT * 12);
      const view = new DataView(bytes.buffer);
      const keys = new Set<number>();
      for (let at = 0; at < bytes.length; at += 12) {
        keys.add(view.getUint32(at, true));
        expect(view.getBigUint64(at + 4, true)).toBe(BigInt(view.getUint32(at, true)));
      }
      expect(keys.size).toBe(COUNT);
      expect(object.iterate('list_entries', slots).length).toBe(8 * 12);
    }
  });

  it('says why it cannot run', () => {
    const object = load();
    expect(failureOf(() => object.iterate('list_entries')).operation).toContain("attach program 'list_entries'");
    expect(failureOf(() => object.iterate('on_rename')).operation).toContain("attach program 'on_rename'");
    const other = load();
    expect(() => object.iterate('list_entries', other.map('counts'))).toThrow(
      "map 'counts' is not one of BPF object 'native'",
    );
  });
});

describe('what is closed', () => {
  it('cannot be used, whatever is tried', () => {
    const object = load();
    const counts = object.map('counts');
    const events = new RingBuffer(object.map('events'), () => undefined);
    const link = object.attach('on_rename');
    const memory = object.map('.bss').mmap();
    object.close();
    object.close();
    const attempts: Record<string, () => unknown> = {
      setRodata: () => object.setRodata('step', u64(1n)),
      map: () => object.map('counts'),
      hasProgram: () => object.hasProgram('on_rename'),
      setAutoload: () => object.setAutoload('on_rename', true),
      load: () => object.load(),
      attach: () => object.attach('on_rename'),
      iterate: () => object.iterate('list_threads'),
      fd: () => counts.fd,
      maxEntries: () => counts.maxEntries,
      setMaxEntries: () => counts.setMaxEntries(1),
      lookup: () => counts.lookup(u32(1)),
      update: () => counts.update(u32(1), u64(1n)),
      delete: () => counts.delete(u32(1)),
      entries: () => [...counts.entries()],
      mmap: () => counts.mmap(),
      variableOffset: () => variableOffset(counts, 'x'),
      ringBuffer: () => new RingBuffer(counts, () => undefined),
      epollFd: () => events.epollFd,
      consume: () => events.consume(),
      linkFd: () => link.fd,
      buffer: () => memory.buffer,
    };
    for (const [name, attempt] of Object.entries(attempts)) expect(attempt, name).toThrow(/ is closed$/);
    for (const thing of [events, link, memory, object]) thing.close();
  });

  it('can be closed in any order', () => {
    const parts = ['link', 'events', 'memory', 'object'] as const;
    for (const first of parts) {
      const object = load();
      const things = {
        object,
        link: object.attach('on_rename'),
        events: new RingBuffer(object.map('events'), () => undefined),
        memory: object.map('.bss').mmap(),
      };
      things[first].close();
      for (const part of parts) things[part].close();
    }
    expect(bpfDescriptors()).toEqual([]);
  });
});

describe('a worker thread', () => {
  it('can do all of it, one after the other, and leaves nothing behind', async () => {
    for (let round = 0; round < 2; round++) {
      const worker = new Worker(new URL('./fixtures/bpf-worker.mjs', import.meta.url), { workerData: fixture.file });
      const exited = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
      const records = new Promise((resolve) => worker.once('message', resolve));
      expect(await Promise.race([records, exited.then((code) => `exit ${String(code)}`)])).toBe(3);
      expect(await exited).toBe(0);
      expect(bpfDescriptors()).toEqual([]);
    }
  });
});

describe("the kernel's BTF", () => {
  it('knows functions and tracepoints', () => {
    const btf = KernelBtf.open();
    expect(btf.hasFunction('vfs_read')).toBe(true);
    expect(btf.hasFunction('no_such_function')).toBe(false);
    // A struct, and no function.
    expect(btf.hasFunction('task_struct')).toBe(false);
    expect(btf.hasTracepoint('task_rename')).toBe(true);
    expect(btf.hasTracepoint('no_such_tracepoint')).toBe(false);
    btf.close();
    btf.close();
    expect(() => btf.hasFunction('vfs_read')).toThrow("the kernel's BTF is closed");
  });
});
