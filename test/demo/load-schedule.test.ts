import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEMO_PROFILE, loadAt, scheduleLoad, type LoadOptions } from '../../src/demo/load-schedule.ts';

const options: LoadOptions = {
  seed: 1,
  durationMs: 60_000,
  profile: DEMO_PROFILE,
  capacityRps: 600,
  meanCycles: 1_000_000,
  cyclesSigma: 0.5,
};
const between = (dueMs: Float64Array, fromMs: number, toMs: number) =>
  dueMs.filter((due) => due >= fromMs && due < toMs).length;

describe('loadAt()', () => {
  test('follows straight lines, and takes the later value at a jump', () => {
    expect([0, 0.15, 0.275, 0.5, 0.6, 0.65, 0.7, 1, 2].map((at) => loadAt(DEMO_PROFILE, at))).toEqual([
      0.15,
      0.15,
      expect.closeTo(0.375, 9),
      expect.closeTo(0.6, 9),
      0.75,
      0.75,
      0.2,
      0.2,
      0.2,
    ]);
  });

  test('is nothing without a profile', () => {
    expect(loadAt([], 0.5)).toBe(0);
  });
});

describe('scheduleLoad()', () => {
  test('gives the same requests for the same seed, and others for another', () => {
    expect(scheduleLoad(options)).toEqual(scheduleLoad(options));
    expect(scheduleLoad({ ...options, seed: 2 }).dueMs).not.toEqual(scheduleLoad(options).dueMs);
  });

  test('offers what the profile says', () => {
    const { dueMs } = scheduleLoad(options);
    // Counts of a Poisson process: four standard deviations are 4·√count, and the seed is fixed.
    const expectCount = (count: number, expected: number) =>
      expect(Math.abs(count - expected)).toBeLessThan(4 * Math.sqrt(expected));
    expectCount(between(dueMs, 0, 9_000), 0.15 * 600 * 9);
    expectCount(between(dueMs, 24_000, 36_000), 0.6 * 600 * 12);
    expectCount(between(dueMs, 36_000, 42_000), 0.75 * 600 * 6);
    expectCount(between(dueMs, 42_000, 60_000), 0.2 * 600 * 18);
  });

  test('costs have the mean that was asked for', () => {
    const { cycles } = scheduleLoad(options);
    const mean = cycles.reduce((total, each) => total + each, 0) / cycles.length;
    expect(mean / options.meanCycles).toBeGreaterThan(0.97);
    expect(mean / options.meanCycles).toBeLessThan(1.03);
  });

  test('keeps arrivals ascending, inside the run, and each with a cost', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 3000 }), (seed, durationMs) => {
        const { dueMs, cycles } = scheduleLoad({ ...options, seed, durationMs });
        return (
          dueMs.length === cycles.length &&
          dueMs.every((due, index) => due >= (dueMs[index - 1] ?? 0) && due < durationMs) &&
          cycles.every((each) => each > 0 && Number.isInteger(each))
        );
      }),
      { numRuns: 50 },
    );
  });

  test('is empty where nothing is offered', () => {
    expect(scheduleLoad({ ...options, profile: [{ at: 0, load: 0 }] }).dueMs).toHaveLength(0);
  });
});
