import { describe, expect, it } from 'vitest';
import { type Distribution, SampleStream, meanNsOf, problemOf, variabilityOf } from '../../src/plant/distribution.ts';
import { Random } from '../../src/plant/random.ts';

const stream = (distribution: Distribution) => new SampleStream(distribution, new Random(1, 'test'));

describe('SampleStream', () => {
  const distributions: readonly Distribution[] = [
    { kind: 'deterministic', meanNs: 500 },
    { kind: 'exponential', meanNs: 500 },
    { kind: 'lognormal', meanNs: 500, sigma: 0.6 },
    { kind: 'bimodal', shortNs: 100, longNs: 3000, longRatio: 0.1 },
    { kind: 'bounded-pareto', alpha: 1.5, minNs: 100, maxNs: 10_000 },
    { kind: 'bounded-pareto', alpha: 1, minNs: 100, maxNs: 10_000 },
    { kind: 'bounded-pareto', alpha: 2, minNs: 100, maxNs: 10_000 },
    { kind: 'empirical', valuesNs: [1, 5, 5, 100] },
    { kind: 'sequence', valuesNs: Float64Array.of(1, 5, 5, 100) },
  ];
  it.each(distributions)('draws $kind with the mean and the variability that its formulas state', (distribution) => {
    const draws = stream(distribution);
    const count = 300_000;
    let sum = 0;
    let squares = 0;
    for (let i = 0; i < count; i++) {
      const ns = draws.next();
      sum += ns;
      squares += ns * ns;
    }
    const meanNs = meanNsOf(distribution);
    const variability = variabilityOf(distribution);
    expect(Math.abs(sum / count / meanNs - 1)).toBeLessThanOrEqual(4 * Math.sqrt(variability / count) + 1e-12);
    // The second moment settles slower than the first.
    expect(Math.abs(squares / count / (meanNs ** 2 * (1 + variability)) - 1)).toBeLessThan(0.05);
  });

  it('keeps a bounded Pareto inside its bounds', () => {
    const draws = stream({ kind: 'bounded-pareto', alpha: 1.1, minNs: 10, maxNs: 200 });
    for (let i = 0; i < 20_000; i++) {
      const ns = draws.next();
      expect(ns >= 10 && ns <= 200).toBe(true);
    }
  });

  it('replays a sequence in order, and from the start again', () => {
    const draws = stream({ kind: 'sequence', valuesNs: [3, 1, 2] });
    expect(Array.from({ length: 7 }, () => draws.next())).toEqual([3, 1, 2, 3, 1, 2, 3]);
  });

  it('draws empirical values only', () => {
    const draws = stream({ kind: 'empirical', valuesNs: [3, 7] });
    const seen = new Set(Array.from({ length: 2000 }, () => draws.next()));
    expect([...seen].sort()).toEqual([3, 7]);
  });

  it.each<[Distribution, string]>([
    [{ kind: 'exponential', meanNs: 0 }, 'meanNs'],
    [{ kind: 'lognormal', meanNs: 1, sigma: -1 }, 'sigma'],
    [{ kind: 'bimodal', shortNs: 2, longNs: 1, longRatio: 2 }, 'longNs, longRatio'],
    [{ kind: 'bounded-pareto', alpha: 0, minNs: 1, maxNs: 2 }, 'alpha'],
    [{ kind: 'empirical', valuesNs: [] }, 'valuesNs'],
    [{ kind: 'deterministic', meanNs: NaN }, 'meanNs'],
  ])('refuses %j', (distribution, named) => {
    expect(problemOf(distribution)).toBe(`${named} out of range`);
    expect(() => stream(distribution)).toThrow(RangeError);
  });
});
