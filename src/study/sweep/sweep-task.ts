import { controllers } from '../../compose/controllers.ts';
import { UsageError } from '../../core/errors.ts';
import type { Slo } from '../../core/slo.ts';
import { NS_PER_MS } from '../../core/units.ts';
import { listRequests } from '../../plant/requests.ts';
import { xeonSilver4114 } from '../../plant/servers.ts';
import { serviceOf, type Workload } from '../../plant/workloads.ts';
import { loadPolicy, policyOf, type Policy } from '../../policy/load-policy.ts';
import { parseYaml } from '../../policy/yaml-file.ts';
import type { Baseline } from '../baselines/baseline.ts';
import { baselines } from '../baselines/registry.ts';
import { clairvoyantSchedule } from '../reference/clairvoyant.ts';
import { energyLowerBound } from '../reference/lower-bound.ts';
import { traceNamed, withCores, workloadNamed } from '../scenario.ts';
import { FULL_LOAD_RATIO, simulateRun } from '../simulated-run.ts';

/** A policy by its file, or by a text that stands for one, or a baseline by its name: what a thread can be sent. */
export type PolicyReference = { readonly file: string; readonly text?: string } | { readonly baseline: string };

/** One run, or the reference and the bound for it: plain data, for it goes to a thread. */
export interface SweepTask {
  /** null: the bound, and where `reference` says so, the clairvoyant reference. */
  readonly policy: PolicyReference | null;
  readonly workload: string;
  readonly trace: string;
  readonly seed: number;
  readonly cores: number;
  readonly durationNs: number;
  readonly reference: boolean;
}

export type SweepOutcome =
  | {
      readonly kind: 'run';
      readonly requests: number;
      readonly overSlo: number;
      /** null where nothing completed. */
      readonly quantileNs: number | null;
      readonly energyJ: number;
      readonly transitions: number;
      readonly windows: number;
      readonly missedWindows: number;
    }
  | { readonly kind: 'bound'; readonly lowerBoundJ: number; readonly referenceJ: number | null };

const COMPLIANCE_WINDOW_MS = 60_000;
const REFERENCE_INTERVAL_MS = 100;

export const sloOf = ({ sloLatencyNs }: Workload): Slo => ({
  ...{ quantile: 0.99, latencyNs: sloLatencyNs, windowMs: COMPLIANCE_WINDOW_MS },
});

/** @throws UsageError that lists the baselines there are */
export function baselineNamed(name: string): Baseline {
  if (Object.hasOwn(baselines, name)) return baselines[name]!;
  throw new UsageError(`--baseline ${name}: no such baseline, expected ${Object.keys(baselines).join(', ')} or all`);
}

/** @throws PolicyError with what is wrong in the file */
export function policyFrom(reference: PolicyReference): Policy | Baseline {
  if ('baseline' in reference) return baselineNamed(reference.baseline);
  const { file, text } = reference;
  return text === undefined ? loadPolicy(file, controllers) : policyOf(parseYaml(file, text), controllers);
}

/** The same task has the same outcome, on whatever thread. @throws UsageError, PolicyError */
export function runTask(task: SweepTask): SweepOutcome {
  const { cores, seed, durationNs } = task;
  const workload = workloadNamed(task.workload);
  const trace = traceNamed(task.trace, durationNs);
  const slo = sloOf(workload);
  if (task.policy === null) {
    const server = withCores(xeonSilver4114, cores);
    const service = serviceOf('service', workload, { cores, loadRatio: FULL_LOAD_RATIO, trace });
    const requests = listRequests(service, seed, durationNs);
    const { frequencyBoundRatio } = workload;
    const { joules } = energyLowerBound({ server, requests, frequencyBoundRatio, slo, durationNs });
    const covered = task.reference && workload.dispatch.kind === 'central';
    const intervalNs = REFERENCE_INTERVAL_MS * NS_PER_MS;
    const reference = covered ? clairvoyantSchedule({ server, service, seed, slo, intervalNs, durationNs }) : null;
    return { kind: 'bound', lowerBoundJ: joules, referenceJ: reference?.meetsSlo === true ? reference.joules : null };
  }
  const policy = policyFrom(task.policy);
  const run = simulateRun({ policy, workload, trace, server: xeonSilver4114, cores, seed, durationNs, slo });
  return {
    kind: 'run',
    requests: run.requests,
    overSlo: run.overSlo,
    quantileNs: run.latency.count === 0 ? null : run.latency.quantileNs(slo.quantile),
    energyJ: run.energyJ,
    transitions: run.transitions,
    windows: run.windows,
    missedWindows: run.missedWindows,
  };
}
