import { describe, expect, it } from 'vitest';
import { estimateMean } from '../../../src/study/sweep/confidence.ts';

describe('estimateMean()', () => {
  it('gives Student’s interval', () => {
    // Mean 2, standard deviation 1, t(2) = 4.303.
    const { mean, plusMinus } = estimateMean([1, 2, 3]);
    expect(mean).toBe(2);
    expect(plusMinus).toBeCloseTo(4.303 / Math.sqrt(3), 6);
  });

  it('has no interval for one value, and an empty one for equal values', () => {
    expect(estimateMean([7])).toEqual({ mean: 7, plusMinus: null });
    expect(estimateMean([7, 7, 7, 7])).toEqual({ mean: 7, plusMinus: 0 });
  });

  it('goes on with the last t it knows beyond thirty-one values', () => {
    const values = Array.from({ length: 100 }, (_, i) => i % 2);
    expect(estimateMean(values).plusMinus).toBeCloseTo(2.042 * Math.sqrt(25 / 99 / 100), 6);
  });

  it('refuses to estimate from nothing', () => {
    expect(() => estimateMean([])).toThrow(RangeError);
  });
});
