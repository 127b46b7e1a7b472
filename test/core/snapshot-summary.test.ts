import { describe, expect, test } from 'vitest';
import { Histogram } from '../../src/core/histogram.ts';
import type { Snapshot } from '../../src/core/sensor.ts';
import { summarizeSnapshot, summarizeTimes } from '../../src/core/snapshot-summary.ts';

const snapshot: Snapshot = {
  target: 'cache',
  method: 'tracepoint',
  unit: 'turn',
  atNs: 5_000_000_000n,
  windowNs: 250_000_400,
  health: 'active',
  arrivals: 11,
  requests: 10,
  overSlo: 2,
  abandoned: 1,
  unsolicited: 3,
  dropped: 4,
  inFlight: 5,
  oldestInFlightNs: 1_234_567,
  latency: Histogram.of([100_000, 300_000]),
  socketWait: Histogram.of([40_000, 60_000]),
  handlingTime: new Histogram(),
  cpuTimeNs: null,
  busiestThreadRatio: null,
};

describe('summarizeSnapshot() of secondary signals', () => {
  const secondary = { threadNs: 4000, waitedNs: 3000, gaps: 2, gapSumNs: 4000, gapSquareSumNs2: 10_000_000 };

  test('gives ratios, and null for what is not known', () => {
    expect(summarizeSnapshot({ ...snapshot, secondary, cpuTimeNs: 500_000_800 }, 0).secondary).toEqual({
      slackRatio: 0.75,
      gapVariation: 0.25,
      busyCores: 2,
    });
    const nothing = { threadNs: 0, waitedNs: 0, gaps: 0, gapSumNs: 0, gapSquareSumNs2: 0 };
    expect(summarizeSnapshot({ ...snapshot, secondary: nothing }, 0).secondary).toEqual({
      slackRatio: null,
      gapVariation: null,
      busyCores: null,
    });
  });

  test('is absent where they were not asked for', () => {
    expect(summarizeSnapshot(snapshot, 0)).not.toHaveProperty('secondary');
  });
});

describe('summarizeTimes()', () => {
  test('is in µs, ordered, with the exact mean', () => {
    const times = summarizeTimes(Histogram.of([100_000, 200_000, 300_000, 1_000_000]));
    expect(times.meanUs).toBe(400);
    const ordered = [times.p50Us, times.p90Us, times.p95Us, times.p99Us, times.p999Us, times.maxUs];
    expect(ordered).toEqual(ordered.toSorted((a, b) => a - b));
    expect(times.p50Us).toBeGreaterThan(190);
    expect(times.maxUs).toBeGreaterThanOrEqual(1_000);
    expect(times.maxUs).toBeLessThan(1_032);
  });

  test('is zero all over when nothing completed', () => {
    expect(new Set(Object.values(summarizeTimes(new Histogram())))).toEqual(new Set([0]));
  });
});

describe('summarizeSnapshot()', () => {
  test('carries the counts over and converts the rest', () => {
    expect(summarizeSnapshot(snapshot, Date.UTC(2026, 0, 2, 3, 4, 5, 678))).toEqual({
      at: '2026-01-02T03:04:05.678Z',
      target: 'cache',
      method: 'tracepoint',
      unit: 'turn',
      health: 'active',
      windowMs: 250,
      arrivals: 11,
      requests: 10,
      throughputRps: 40,
      overSlo: 2,
      inFlight: 5,
      oldestInFlightMs: 1.235,
      abandoned: 1,
      unsolicited: 3,
      dropped: 4,
      latency: summarizeTimes(snapshot.latency),
      socketWait: summarizeTimes(snapshot.socketWait),
      handlingTime: summarizeTimes(snapshot.handlingTime),
    });
  });

  test('has no throughput in a window without length', () => {
    expect(summarizeSnapshot({ ...snapshot, windowNs: 0 }, 0).throughputRps).toBe(0);
  });

  test('survives JSON', () => {
    const summary = summarizeSnapshot(snapshot, 0);
    expect(JSON.parse(JSON.stringify(summary))).toEqual(summary);
  });
});
