import { expect, it } from 'vitest';
import type { Sensor } from '../../src/core/sensor.ts';
import { windows } from '../../src/sensor/windows.ts';

function counting(): Sensor & { reads: number } {
  return {
    method: 'simulated',
    unit: 'turn',
    reads: 0,
    read() {
      this.reads++;
      return [];
    },
    close: () => undefined,
  };
}

it('windows() reads as often as it is asked, and no more', async () => {
  const sensor = counting();
  let seen = 0;
  for await (const snapshots of windows(sensor, 1)) {
    expect(snapshots).toEqual([]);
    if (++seen === 3) break;
  }
  expect(sensor.reads).toBe(3);
});

it('windows() ends when it is told to, without a read', async () => {
  const sensor = counting();
  const stop = new AbortController();
  const next = windows(sensor, 3_600_000, stop.signal).next();
  stop.abort();
  expect((await next).done).toBe(true);
  expect(sensor.reads).toBe(0);
});

it.each([0, -1, Number.NaN, Infinity])('windows() refuses an interval of %d ms', async (intervalMs) => {
  await expect(windows(counting(), intervalMs).next()).rejects.toThrow(/intervalMs/);
});
