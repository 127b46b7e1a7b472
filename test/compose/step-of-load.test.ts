import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { composeSimulation } from '../../src/compose/compose-simulation.ts';
import { controllers } from '../../src/compose/controllers.ts';
import { type Slo, toleratedRatio } from '../../src/core/slo.ts';
import { NS_PER_MS, NS_PER_S } from '../../src/core/units.ts';
import { meanNsOf } from '../../src/plant/distribution.ts';
import type { LoadTrace } from '../../src/plant/load-trace.ts';
import { xeonSilver4114 } from '../../src/plant/servers.ts';
import { serviceOf, workloads } from '../../src/plant/workloads.ts';
import { loadPolicy } from '../../src/policy/load-policy.ts';

const CORES = 10;
const STEP_NS = 20 * NS_PER_S;
const END_NS = 30 * NS_PER_S;
const LOAD_BEFORE = 0.2;
const LOAD_AFTER = 0.8;

const microservice = workloads['microservice']!;
const slo: Slo = { quantile: 0.99, latencyNs: microservice.sloLatencyNs, windowMs: 60_000 };
const trace: LoadTrace = {
  kind: 'steps',
  name: 'step',
  steps: [
    { untilNs: STEP_NS, multiplier: LOAD_BEFORE / LOAD_AFTER },
    { untilNs: END_NS, multiplier: 1 },
  ],
  repeat: false,
};

interface Window {
  readonly atNs: number;
  readonly requests: number;
  readonly overSlo: number;
  readonly inFlight: number;
}

/** What each tick saw, and the level before the step. */
function run(policyName: string, seed: number) {
  const policy = loadPolicy(join(import.meta.dirname, `../../policies/${policyName}.yaml`), controllers);
  const service = serviceOf('service', microservice, { cores: CORES, loadRatio: LOAD_AFTER, trace });
  const governor = composeSimulation({ server: xeonSilver4114, service, policy, slo, seed });
  const { loop, simulation } = governor;
  loop.engage();
  const windows: Window[] = [];
  let levelBefore = 1;
  for (let dueNs = 0; dueNs < END_NS;) {
    if (simulation.nowNs >= dueNs) dueNs += loop.intervalMs * NS_PER_MS;
    const report = governor.tickBy(dueNs);
    const { requests, overSlo, inFlight } = loop.snapshots[0]!;
    windows.push({ atNs: simulation.nowNs, requests, overSlo, inFlight });
    if (simulation.nowNs <= STEP_NS) levelBefore = report.services[0]!.appliedLevel;
  }
  return { windows, levelBefore, intervalNs: loop.intervalMs * NS_PER_MS };
}

/** The share of requests over the SLO that were completed in (from, until]. */
function lateRatio(windows: readonly Window[], fromNs: number, untilNs: number): number {
  const within = windows.filter(({ atNs }) => atNs > fromNs && atNs <= untilNs);
  const sum = (count: (window: Window) => number) => within.reduce((total, window) => total + count(window), 0);
  return sum(({ overSlo }) => overSlo) / sum(({ requests }) => requests);
}

describe.each(['pid', 'threshold', 'model'])('%s at a step of the load from 20 % to 80 %', (policy) => {
  const { windows, levelBefore, intervalNs } = run(policy, 1);

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
