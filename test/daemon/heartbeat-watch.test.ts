import { describe, expect, it } from 'vitest';
import { HeartbeatWatch } from '../../src/daemon/heartbeat-watch.ts';

const watching = () => new HeartbeatWatch({ starting: 100, governing: 10 });
/** Which look, from 1, is the first to find it stuck; null where none of `count` does. */
function firstStuck(watch: HeartbeatWatch, count: number, governs: boolean, beats = () => 0): number | null {
  for (let look = 1; look <= count; look++) if (watch.look(beats(), governs)) return look;
  return null;
}

describe('HeartbeatWatch', () => {
  it('gives a loop that moves no limit', () => {
    let beats = 0;
    expect(firstStuck(watching(), 1_000, true, () => beats++)).toBeNull();
    expect(firstStuck(watching(), 1_000, true, () => Math.floor(beats++ / 9))).toBeNull();
  });

  it('finds one that stands still', () => {
    const watch = watching();
    watch.look(5, true);
    expect(firstStuck(watch, 50, true, () => 5)).toBe(10);
    expect(watch.still).toBe(10);
  });

  it('is patient with a start', () => {
    expect(firstStuck(watching(), 200, false)).toBe(101);
  });

  it('does not hold a slow start against a loop that has just begun to govern', () => {
    const watch = watching();
    expect(firstStuck(watch, 90, false)).toBeNull();
    expect(firstStuck(watch, 9, true)).toBeNull();
    expect(watch.look(1, true)).toBe(false);
  });
});
