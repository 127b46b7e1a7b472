import { join } from 'node:path';
import { composeSimulation } from '../../src/compose/compose-simulation.ts';
import { controllers } from '../../src/compose/controllers.ts';
import type { Slo } from '../../src/core/slo.ts';
import { NS_PER_MS, NS_PER_S } from '../../src/core/units.ts';
import type { LoadTrace } from '../../src/plant/load-trace.ts';
import { xeonSilver4114 } from '../../src/plant/servers.ts';
import { serviceOf, workloads } from '../../src/plant/workloads.ts';
import { loadPolicy } from '../../src/policy/load-policy.ts';

/** A microservice on ten simulated cores, whose load steps from 20 % to 80 % of what they can. */
export const CORES = 10;
export const STEP_NS = 20 * NS_PER_S;
export const END_NS = 30 * NS_PER_S;
const LOAD_BEFORE = 0.2;
export const LOAD_AFTER = 0.8;

export const microservice = workloads['microservice']!;
export const slo: Slo = { quantile: 0.99, latencyNs: microservice.sloLatencyNs, windowMs: 60_000 };
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
export function runStep(policyName: string, seed: number) {
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
export function lateRatio(windows: readonly Window[], fromNs: number, untilNs: number): number {
  const within = windows.filter(({ atNs }) => atNs > fromNs && atNs <= untilNs);
  const sum = (count: (window: Window) => number) => within.reduce((total, window) => total + count(window), 0);
  return sum(({ overSlo }) => overSlo) / sum(({ requests }) => requests);
}
