import { describe, expect, it } from 'vitest';
import { Histogram } from '../../src/core/histogram.ts';
import type { RequestUnit, Snapshot, UnitFigures } from '../../src/core/sensor.ts';
import { unitFigures } from '../../src/sensor/figures-by-unit.ts';
import { mergeSnapshots } from '../../src/sensor/merge-snapshots.ts';
import { snapshotOf } from '../loop/support.ts';

const snapshot = (more: Partial<Snapshot>) =>
  snapshotOf(0, 0, { windowNs: 0, health: 'active', cpuTimeNs: null, busiestThreadRatio: null, ...more });

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

describe('mergeSnapshots() of connections that speak HTTP/2', () => {
  const figures = (unit: RequestUnit, requests: number): UnitFigures =>
    unitFigures(unit, snapshot({ requests, latency: Histogram.of(Array.from({ length: requests }, () => 100)) }));
  const both = (own: UnitFigures, otherUnit: UnitFigures, more: Partial<Snapshot> = {}) =>
    snapshot({
      ...own,
      ...more,
      http2: {
        turnConnections: 1,
        streamConnections: 2,
        lostConnections: 3,
        streaming: 4,
        firstResponse: Histogram.of([50]),
        otherUnit,
      },
    });

  it('keeps units apart where they change places, and names the one with more requests in both', () => {
    const earlier = both(figures('stream', 9), figures('turn', 1), { windowNs: 10 });
    const later = both(figures('turn', 5), figures('stream', 2), { windowNs: 20 });
    const merged = mergeSnapshots(earlier, later);
    expect(merged).toMatchObject({ windowNs: 30, unit: 'stream', requests: 11 });
    expect(merged.latency.count).toBe(11);
    expect(merged.http2).toMatchObject({
      turnConnections: 2,
      streamConnections: 4,
      lostConnections: 6,
      streaming: 8,
      otherUnit: { unit: 'turn', requests: 6 },
    });
    expect(merged.http2!.otherUnit.latency.count).toBe(6);
    expect(merged.http2!.firstResponse.count).toBe(2);
  });

  it('takes the age of the oldest in flight from the later window, unit by unit', () => {
    const earlier = both(figures('stream', 9), figures('turn', 1));
    const waiting = { ...figures('stream', 2), inFlight: 3, oldestInFlightNs: 70 };
    const merged = mergeSnapshots(earlier, both(figures('turn', 5), waiting));
    expect(merged).toMatchObject({ unit: 'stream', inFlight: 3, oldestInFlightNs: 70 });
    expect(merged.http2!.otherUnit).toMatchObject({ inFlight: 0, oldestInFlightNs: 0 });
  });

  it('begins with windows before it was seen', () => {
    const earlier = snapshot({ ...figures('turn', 4), windowNs: 10 });
    const merged = mergeSnapshots(earlier, both(figures('stream', 5), figures('turn', 2), { windowNs: 20 }));
    expect(merged).toMatchObject({ windowNs: 30, unit: 'turn', requests: 6 });
    expect(merged.http2).toMatchObject({ streamConnections: 2, otherUnit: { unit: 'stream', requests: 5 } });
    expect(merged.http2!.otherUnit).not.toHaveProperty('windowNs');
  });

  it('adds a window to itself as to any other', () => {
    const window = both(figures('stream', 3), figures('turn', 1));
    const merged = mergeSnapshots(window, window);
    expect([merged.requests, merged.latency.count, merged.http2!.otherUnit.latency.count]).toEqual([6, 6, 2]);
    expect(window.latency.count).toBe(3);
  });
});
