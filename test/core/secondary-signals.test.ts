import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addSecondarySignals, gapVariation, slackRatio } from '../../src/core/secondary-signals.ts';
import type { SecondarySignals } from '../../src/core/sensor.ts';

const NONE: SecondarySignals = { threadNs: 0, waitedNs: 0, gaps: 0, gapSumNs: 0, gapSquareSumNs2: 0 };

const ofGaps = (gaps: readonly number[]): SecondarySignals => ({
  ...NONE,
  gaps: gaps.length,
  gapSumNs: gaps.reduce((sum, gap) => sum + gap, 0),
  gapSquareSumNs2: gaps.reduce((sum, gap) => sum + gap * gap, 0),
});

describe('slackRatio()', () => {
  it('is the share of the threads’ time that they waited', () => {
    expect(slackRatio({ ...NONE, threadNs: 4000, waitedNs: 3000 })).toBe(0.75);
  });

  it('is not known where no thread served', () => {
    expect(slackRatio(NONE)).toBeNull();
  });
});

describe('gapVariation()', () => {
  it('is 0 for even gaps, and the variance over the square of the mean', () => {
    expect(gapVariation(ofGaps([500, 500, 500]))).toBe(0);
    expect(gapVariation(ofGaps([1000, 3000]))).toBeCloseTo(0.25);
  });

  it('is not known with fewer than two gaps', () => {
    expect(gapVariation(ofGaps([500]))).toBeNull();
    expect(gapVariation(ofGaps([0, 0]))).toBeNull();
  });
});

describe('addSecondarySignals()', () => {
  it('makes two windows one', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 1e6 }), { maxLength: 20 });
    fc.assert(
      fc.property(gaps, gaps, (a, b) => {
        expect(addSecondarySignals(ofGaps(a), ofGaps(b))).toEqual(ofGaps([...a, ...b]));
      }),
    );
  });
});
