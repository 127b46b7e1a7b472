import { describe, expect, it } from 'vitest';
import { toleratedRatio } from '../../src/core/slo.ts';
import { NS_PER_S } from '../../src/core/units.ts';
import { meanNsOf } from '../../src/plant/distribution.ts';
import { CORES, END_NS, lateRatio, LOAD_AFTER, microservice, runStep, slo, STEP_NS } from './step-of-load.ts';

describe.each(['pid', 'threshold', 'model'])('%s at a step of the load from 20 % to 80 %', (policy) => {
  const { windows, levelBefore, intervalNs } = runStep(policy, 1);

  it('comes from a level that the step makes far too low', () => {
    expect(levelBefore).toBeLessThan(0.6);
  });

  it('is back within the SLO in three intervals and the time to drain the backlog', () => {
    const after = windows.filter(({ atNs }) => atNs > STEP_NS);
    const backlog = Math.max(...after.map(({ inFlight }) => inFlight)) - CORES;
    // What is left of the capacity at full speed beyond what keeps arriving drains it.
    const drainNs = (Math.max(0, backlog) * meanNsOf(microservice.demand)) / (CORES * (1 - LOAD_AFTER));
    const backNs = STEP_NS + Math.max(3 * intervalNs, 3 * slo.latencyNs) + drainNs;
    expect(lateRatio(windows, backNs, backNs + NS_PER_S)).toBeLessThanOrEqual(toleratedRatio(slo));
  });

  it('keeps the SLO in every second, for the alarm does not wait for the tick', () => {
    for (let fromNs = STEP_NS; fromNs < END_NS; fromNs += NS_PER_S) {
      expect(lateRatio(windows, fromNs, fromNs + NS_PER_S)).toBeLessThanOrEqual(toleratedRatio(slo));
    }
  });
});
