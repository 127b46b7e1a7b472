import { expect, it } from 'vitest';
import { Histogram } from '../../src/core/histogram.ts';
import type { Snapshot } from '../../src/core/sensor.ts';
import { mergeSnapshots } from '../../src/sensor/merge-snapshots.ts';

function snapshot(more: Partial<Snapshot>): Snapshot {
  return {
    target: 'a',
    method: 'simulated',
    unit: 'turn',
    atNs: 0n,
    windowNs: 0,
    health: 'active',
    arrivals: 0,
    requests: 0,
    overSlo: 0,
    abandoned: 0,
    unsolicited: 0,
    dropped: 0,
    inFlight: 0,
    oldestInFlightNs: 0,
    latency: new Histogram(),
    socketWait: new Histogram(),
    handlingTime: new Histogram(),
    cpuTimeNs: null,
    busiestThreadRatio: null,
    ...more,
  };
}

it('mergeSnapshots() adds counts and histograms up and keeps the later state', () => {
  const earlier = snapshot({
    atNs: 5n,
    windowNs: 10,
    arrivals: 3,
    requests: 2,
    overSlo: 1,
    inFlight: 1,
    oldestInFlightNs: 9,
    latency: Histogram.of([100, 200]),
    cpuTimeNs: 4,
  });
  const later = snapshot({
    atNs: 25n,
    windowNs: 20,
    health: 'idle',
    arrivals: 5,
    requests: 6,
    abandoned: 7,
    unsolicited: 8,
    dropped: 9,
    latency: Histogram.of([300]),
    cpuTimeNs: 6,
  });
  const merged = mergeSnapshots(earlier, later);
  expect(merged).toMatchObject({
    atNs: 25n,
    windowNs: 30,
    health: 'idle',
    inFlight: 0,
    oldestInFlightNs: 0,
    cpuTimeNs: 10,
  });
  expect(merged).toMatchObject({ arrivals: 8, requests: 8, overSlo: 1, abandoned: 7, unsolicited: 8, dropped: 9 });
  expect([merged.latency.count, merged.latency.sumNs]).toEqual([3, 600]);
  expect([earlier.latency.count, later.latency.count]).toEqual([2, 1]);
  expect(mergeSnapshots(snapshot({}), later).cpuTimeNs).toBeNull();
});
