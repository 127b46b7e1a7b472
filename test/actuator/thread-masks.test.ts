import { describe, expect, it } from 'vitest';
import type { ControlRecord } from '../../src/actuator/journal.ts';
import { ThreadMasks } from '../../src/actuator/thread-masks.ts';
import { cpuId } from '../../src/core/units.ts';
import { FakeThreads } from './cores-bench.ts';

const ALL = [0, 1, 2, 3];

describe('ThreadMasks', () => {
  it('takes a process for another one where the number of one that has ended comes again', () => {
    const threads = new FakeThreads();
    threads.add(100, '/web', [ALL]);
    threads.add(200, '/web', [[2, 3]]);
    const written: ControlRecord[] = [];
    const masks = new ThreadMasks(threads, false, (records) => written.push(...records));
    masks.look([100, 200], ALL);
    masks.set([cpuId(2)]);
    threads.threads.delete(200);
    masks.look([100], ALL);
    // Forked by the first, with the mask that we had set for it.
    threads.threads.set(200, { pid: 200, startTicks: 900, mask: [2] });
    masks.look([100, 200], ALL);
    expect(written.map(({ control, original }) => `${control} ${original}`)).toEqual([
      'thread/100 0-3',
      'thread/200 2-3',
      'thread/200 0-3',
    ]);
  });

  it('remembers what a process had that is not named for once', () => {
    const threads = new FakeThreads();
    threads.add(100, '/web', [ALL]);
    threads.add(200, '/web', [[2, 3]]);
    const written: ControlRecord[] = [];
    const masks = new ThreadMasks(threads, false, (records) => written.push(...records));
    masks.look([100, 200], ALL);
    masks.set([cpuId(2)]);
    masks.look([100], ALL);
    masks.look([100, 200], ALL);
    expect(written.at(-1)).toMatchObject({ control: 'thread/200', original: '2-3' });
  });
});
