import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { binomialAtLeast, binomialAtMost, highestShare } from '../../src/controller/binomial.ts';

describe('binomialAtMost()', () => {
  it('gives the textbook values', () => {
    expect(binomialAtMost(0, 10, 0.5)).toBeCloseTo(1 / 1024, 12);
    expect(binomialAtMost(5, 10, 0.5)).toBeCloseTo(638 / 1024, 12);
    expect(binomialAtMost(1, 4, 0.25)).toBeCloseTo(0.75 ** 4 + 4 * 0.25 * 0.75 ** 3, 12);
  });

  it('does not underflow where the first term is far below the smallest number', () => {
    // The median of a binomial with np whole is np.
    const half = binomialAtMost(10_000, 1_000_000, 0.01);
    expect(half).toBeGreaterThan(0.5);
    expect(half).toBeLessThan(0.51);
  });

  it('is complementary to binomialAtLeast()', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 50 }),
        fc.integer({ min: 1, max: 50 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (k, n, p) => {
          const exact = 1 - binomialAtMost(k - 1, n, p);
          // Beyond twenty a bound stands in.
          if (k <= 20) expect(binomialAtLeast(k, n, p)).toBeCloseTo(exact, 9);
          else expect(binomialAtLeast(k, n, p)).toBeGreaterThanOrEqual(exact - 1e-9);
        },
      ),
    );
  });
});

describe('highestShare()', () => {
  it('agrees with published Clopper–Pearson bounds', () => {
    // One-sided 97.5 %: the upper ends of the usual two-sided 95 % intervals.
    expect(highestShare(0, 10, 0.975)).toBeCloseTo(0.3085, 4);
    expect(highestShare(1, 10, 0.975)).toBeCloseTo(0.445, 3);
    expect(highestShare(5, 10, 0.975)).toBeCloseTo(0.8129, 4);
  });

  it('needs 299 requests with none slow to prove a p99 at 95 %', () => {
    expect(highestShare(0, 299, 0.95)).toBeLessThanOrEqual(0.01);
    expect(highestShare(0, 298, 0.95)).toBeGreaterThan(0.01);
  });

  it('is never below the share that was seen, and 1 where nothing was seen', () => {
    expect(highestShare(0, 0, 0.95)).toBe(1);
    fc.assert(
      fc.property(
        fc.nat(400),
        fc.integer({ min: 1, max: 400 }),
        fc.double({ min: 0.5, max: 0.999, noNaN: true }),
        (over, n, confidence) => {
          const bound = highestShare(over, n, confidence);
          expect(bound).toBeGreaterThanOrEqual(Math.min(1, over / n));
          expect(bound).toBeLessThanOrEqual(1);
        },
      ),
    );
  });

  it('is cheap and on the safe side where the counts are large', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 21, max: 900 }),
        fc.integer({ min: 2, max: 200 }),
        fc.double({ min: 0.5, max: 0.999, noNaN: true }),
        (over, times, confidence) => {
          const requests = over * times;
          const bound = highestShare(over, requests, confidence);
          // The chance of so few, or fewer, at the bound: the exact bound leaves 1 − confidence, a safer one less.
          const left = binomialAtMost(over, requests, bound);
          expect(left).toBeLessThanOrEqual((1 - confidence) * 1.02 + 1e-4);
          expect(bound).toBeLessThan((over + 4 * Math.sqrt(over) + 9) / requests);
        },
      ),
      { numRuns: 200 },
    );
  });
});
