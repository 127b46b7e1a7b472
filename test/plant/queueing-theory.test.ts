import { describe, expect, it } from 'vitest';
import { NS_PER_US } from '../../src/core/units.ts';
import { type Distribution, meanNsOf, variabilityOf } from '../../src/plant/distribution.ts';
import { type Estimate, measureQueue, mmkMean, mmkQuantile } from './support/queueing.ts';

/** All of them must pass. Chosen before the first run. */
const SEEDS = [1, 2, 3, 4, 5];
const MEAN_NS = 10 * NS_PER_US;

/** Within three standard errors, where the standard error itself is small enough to mean something. */
function expectNear({ mean, standardError }: Estimate, theory: number, relativeError = 0.01) {
  expect(standardError / theory, 'the run is too short').toBeLessThan(relativeError);
  expect(Math.abs(mean - theory) / standardError, `${mean} against ${theory}`).toBeLessThan(3);
}

describe('M/M/k', () => {
  // One core at 0.8 and more takes many more requests to settle: test/kernel/queueing-theory-long.test.ts serves them.
  const cases = [
    { cores: 1, loadRatio: 0.1, requests: 600_000 },
    { cores: 1, loadRatio: 0.5, requests: 1_000_000 },
    { cores: 1, loadRatio: 0.7, requests: 3_000_000 },
    { cores: 16, loadRatio: 0.1, requests: 300_000 },
    { cores: 16, loadRatio: 0.5, requests: 300_000 },
    { cores: 16, loadRatio: 0.8, requests: 500_000 },
    { cores: 16, loadRatio: 0.9, requests: 3_000_000 },
    { cores: 64, loadRatio: 0.95, requests: 2_000_000 },
  ];
  for (const { cores, loadRatio, requests } of cases) {
    it.each(SEEDS)(`k = ${cores}, load ${loadRatio}: mean, p99, utilization and Little's law, seed %i`, (seed) => {
      const boundNs = MEAN_NS * mmkQuantile(cores, loadRatio, 0.01);
      const demand: Distribution = { kind: 'exponential', meanNs: MEAN_NS };
      const measured = measureQueue({ cores, loadRatio, demand, requests, seed, boundNs });
      expectNear(measured.latencyNs, MEAN_NS * mmkMean(cores, loadRatio));
      // An error of ε in the tail's weight is one of about ε ÷ ln 100 in p99 itself.
      expectNear(measured.overBoundRatio, 0.01, 0.046);
      expectNear(measured.utilization, loadRatio);
      // L = λW, with L looked at from outside: what is between them, as a share of L.
      const { littleGap, inSystem } = measured;
      expectNear({ ...littleGap, mean: inSystem.mean + littleGap.mean }, inSystem.mean);
      // The histogram's p99: a bucket is up to 3.2 % wide, and the estimate has its own error.
      expect(Math.abs(measured.p99Ns / boundNs - 1)).toBeLessThan(0.05);
    });
  }
});

describe('M/G/1, by Pollaczek and Khinchine', () => {
  const demands: readonly (readonly [Distribution, number])[] = [
    [{ kind: 'deterministic', meanNs: MEAN_NS }, 500_000],
    [{ kind: 'lognormal', meanNs: MEAN_NS, sigma: 0.8 }, 1_000_000],
    [{ kind: 'bimodal', shortNs: 5_000, longNs: 100_000, longRatio: 0.05 }, 2_000_000],
    [{ kind: 'bounded-pareto', alpha: 1.8, minNs: 4_000, maxNs: 400_000 }, 2_500_000],
  ];
  for (const [demand, requests] of demands) {
    it.each(SEEDS)(`${demand.kind} at load 0.7: mean and utilization, seed %i`, (seed) => {
      const loadRatio = 0.7;
      const measured = measureQueue({ cores: 1, loadRatio, demand, requests, seed, boundNs: Infinity });
      const meanNs = meanNsOf(demand);
      const waitNs = (loadRatio * meanNs * (1 + variabilityOf(demand))) / (2 * (1 - loadRatio));
      expectNear(measured.latencyNs, meanNs + waitNs);
      expectNear(measured.utilization, loadRatio);
    });
  }
});
