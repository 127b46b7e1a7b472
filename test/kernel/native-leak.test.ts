import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import koffi from 'koffi';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BpfObject, NativeError, RingBuffer } from '../../src/native/libbpf.ts';
import { bpfDescriptors, compileFixture, openFixture, readU64, rename } from './native-fixture.ts';

const WARM_UP = 40;
const LIVES = 200;
/**
 * Slack for what V8 and vitest keep meanwhile. An object that is not closed keeps 13 KB of malloc's memory and 6 mappings,
 * so that 200 of them would be well over the first two; the third catches what is large and none of malloc's.
 */
const SLACK = { mallocBytes: 2 ** 20, mappings: 200, rssBytes: 32 * 2 ** 20 };

/** struct mallinfo2; uordblks is what is handed out. */
const MALLINFO_MEMBERS = 'arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost'.split(' ');

let fixture: ReturnType<typeof compileFixture>;
beforeAll(() => {
  fixture = compileFixture();
});
afterAll(() => fixture.remove());

/** One whole life, with all that can hang on an object; every other one leaves the closing to the object. */
function live(tidily: boolean, seen: Set<number>): void {
  const object = openFixture(fixture.file);
  object.load();
  for (const id of ownProgramIds()) seen.add(id);
  let records = 0;
  const events = new RingBuffer(object.map('events'), () => records++);
  const memory = object.map('slots').mmap();
  const slots = new BigUint64Array(memory.buffer);
  const link = object.attach('on_rename');
  rename(2);
  expect(events.consume()).toBe(2);
  expect([slots[0], slots[1]]).toEqual([1n, 1n]);
  expect(object.iterate('list_threads').length).toBeGreaterThan(0);
  expect([...object.map('slots').entries()].reduce((sum, [, value]) => sum + readU64(value), 0n)).toBe(2n);
  if (tidily) for (const thing of [link, memory, events]) thing.close();
  object.close();
}

/** A load that the verifier refuses gives back as much. */
function fail(): void {
  const object = openFixture(fixture.file);
  object.setAutoload('unchecked_lookup', true);
  expect(() => object.load()).toThrow(NativeError);
  object.close();
  expect(() => BpfObject.open(new Uint8Array(64))).toThrow(NativeError);
}

const mallinfo = koffi
  .load('libc.so.6')
  .func('mallinfo2', koffi.struct(Object.fromEntries(MALLINFO_MEMBERS.map((name) => [name, 'size_t']))), []) as () => {
  readonly uordblks: number;
};

const memoryInUse = () => ({
  mallocBytes: mallinfo().uordblks,
  mappings: readFileSync('/proc/self/maps', 'utf8').split('\n').length,
  rssBytes: process.memoryUsage.rss(),
});

/** The ids of the programs that this process holds. */
const ownProgramIds = () =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    const info = textOf(`/proc/self/fdinfo/${fd}`);
    const match = /^prog_id:\s*(\d+)$/m.exec(info);
    return match === null ? [] : [Number(match[1])];
  });

/** The directory's own descriptor is gone by the time that it is read. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

const programIdsInKernel = () => {
  const programs = JSON.parse(execFileSync('bpftool', ['-j', 'prog', 'list'], { encoding: 'utf8' })) as {
    id: number;
  }[];
  return new Set(programs.map(({ id }) => id));
};

async function settle(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  for (let round = 0; round < 5; round++) {
    gc();
    // Finalizers run as tasks of their own.
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe(`${LIVES} objects, opened, loaded, attached, used and closed`, () => {
  it('leave no descriptor, no program, no callback and no memory behind', async () => {
    const programIds = new Set<number>();
    for (let life = 0; life < WARM_UP; life++) live(life % 2 === 0, programIds);
    fail();
    await settle();
    const memoryBefore = memoryInUse();
    const descriptorsBefore = readdirSync('/proc/self/fd').length;
    const callbacksBefore = koffi.stats().callbacks;

    for (let life = 0; life < LIVES; life++) {
      live(life % 2 === 0, programIds);
      if (life % 10 === 0) fail();
    }
    await settle();

    expect(readdirSync('/proc/self/fd').length).toBe(descriptorsBefore);
    expect(bpfDescriptors()).toEqual([]);
    expect(koffi.stats().callbacks).toBe(callbacksBefore);
    const memory = memoryInUse();
    for (const part of ['mallocBytes', 'mappings', 'rssBytes'] as const) {
      expect(memory[part] - memoryBefore[part], part).toBeLessThan(SLACK[part]);
    }

    expect(programIds.size).toBeGreaterThanOrEqual(WARM_UP + LIVES);
    // The kernel frees programs a grace period after the last user has gone.
    await expect
      .poll(() => [...programIds].filter((id) => programIdsInKernel().has(id)), { timeout: 10_000 })
      .toEqual([]);
  });
});
