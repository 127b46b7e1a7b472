import { describe, expect, test } from 'vitest';
import { corei7_1165g7 as model, packagePowerWatts } from '../../src/core/power-model.ts';
import {
  clipSpans,
  frequencyChanges,
  quantileOf,
  spanEnergyJ,
  summarizePhase,
} from '../../src/demo/summarize-phase.ts';
import { phaseRecord, tickReport } from './fixtures.ts';

describe('summarizePhase()', () => {
  const summary = summarizePhase(phaseRecord(), 20, model);

  test('counts what the sensor counted, and its quantiles over all windows', () => {
    expect(summary).toMatchObject({ requests: 3, throughputRps: 1.5 });
    expect(summary.sensor.overSloRatio).toBeCloseTo(1 / 3, 12);
    // A bucket is 3 % wide.
    expect(summary.sensor.p99Ms / 29).toBeGreaterThan(0.97);
    expect(summary.sensor.p99Ms / 29).toBeLessThan(1.03);
  });

  test('counts a request without a reply as over the SLO, and leaves it out of the quantiles', () => {
    expect(summary.clientFromWrite).toEqual({ count: 3, p50Ms: 4, p99Ms: 30, overSloRatio: 0.5 });
    expect(summary.unanswered).toBe(1);
  });

  test('adds the client’s own lateness from the due instant', () => {
    expect(summary.clientFromDue).toMatchObject({ count: 3, p50Ms: 5, p99Ms: 30.5 });
    expect(summary.clientLate).toEqual({ p50Ms: 0.5, p99Ms: 2 });
  });

  test('models energy over the run alone, span by span', () => {
    const fast = packagePowerWatts(model, [{ frequencyKhz: 4_700_000, busy: 0.5 }]);
    const slow = packagePowerWatts(model, [{ frequencyKhz: 2_000_000, busy: 0.25 }]);
    expect(summary.energyJ).toBeCloseTo(fast + slow, 9);
    expect(summary.meanPowerW).toBeCloseTo((fast + slow) / 2, 9);
    expect(summary.meanFrequencyKhz).toBeCloseTo(3_350_000, 6);
    // 4.7 GHz from 10,100 ms, 2.0 GHz from 11,000 to 12,000 ms.
    expect(summary.meanAppliedKhz).toBeCloseTo((4_700_000 * 900 + 2_000_000 * 1000) / 1900, 6);
    expect(summary.busyRatio).toBeCloseTo(0.375, 12);
  });

  test('is all zeros for a run in which nothing happened', () => {
    const empty = { lateMs: new Float64Array(), latencyMs: new Float64Array(), failures: 0, connections: 0 };
    const nothing = phaseRecord({ windows: [], spans: [], ticks: [], load: empty });
    expect(summarizePhase(nothing, 20, model)).toMatchObject({
      energyJ: 0,
      meanPowerW: 0,
      meanFrequencyKhz: 0,
      requests: 0,
    });
  });
});

test('frequencyChanges() finds the ticks after which the operating point is another', () => {
  const ticks = [4, 4, 3, 3, 4].map((ghz, tick) => tickReport({ tick, atMs: tick, khz: ghz * 1e6 }));
  expect(frequencyChanges(ticks).map(({ tick }) => tick)).toEqual([2, 4]);
});

test('clipSpans() cuts at both ends and splits busy time in proportion', () => {
  const span = { fromMs: 0, toMs: 100, frequencyKhz: 1, busyMs: 50 };
  expect(clipSpans([span], 25, 75)).toEqual([{ fromMs: 25, toMs: 75, frequencyKhz: 1, busyMs: 25 }]);
  expect(clipSpans([span], 100, 200)).toEqual([]);
});

test('spanEnergyJ() is nothing for an empty span', () => {
  expect(spanEnergyJ({ fromMs: 5, toMs: 5, frequencyKhz: 1e6, busyMs: 0 }, model)).toBe(0);
});

test('quantileOf() takes the value that the share does not exceed', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
  expect([0, 0.5, 0.99, 1].map((quantile) => quantileOf(hundred, quantile))).toEqual([1, 50, 99, 100]);
  expect(quantileOf([], 0.5)).toBe(0);
});
