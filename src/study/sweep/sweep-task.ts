import { controllers } from '../../compose/controllers.ts';
import { UsageError } from '../../core/errors.ts';
import { NS_PER_MS } from '../../core/units.ts';
import { listRequests } from '../../plant/requests.ts';
import { serviceOf } from '../../plant/workloads.ts';
import { loadPolicy, policyOf, type Policy } from '../../policy/load-policy.ts';
import { parseYaml } from '../../policy/yaml-file.ts';
import type { Baseline } from '../baselines/baseline.ts';
import { baselines } from '../baselines/registry.ts';
import { clairvoyantSchedule } from '../reference/clairvoyant.ts';
import { energyLowerBound } from '../reference/lower-bound.ts';
import { replayedInput } from '../replayed-input.ts';
import { traceNamed, withCores, workloadNamed } from '../scenario.ts';
import { FULL_LOAD_RATIO, type RunOptions, simulateRun } from '../simulated-run.ts';
import type { SweepCell } from './sweep-cell.ts';

/** A policy by its file, or by a text that stands for one, or a baseline by its name: what a thread can be sent. */
export type PolicyReference = { readonly file: string; readonly text?: string } | { readonly baseline: string };

/** One run, or the reference and the bound for it: plain data, for it goes to a thread. */
export interface SweepTask {
  /** null: the bound, and where `reference` says so, the clairvoyant reference. */
  readonly policy: PolicyReference | null;
  readonly cell: SweepCell;
  readonly seed: number;
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

const REFERENCE_INTERVAL_MS = 100;

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
  const { cell, seed } = task;
  const { cores, durationNs, slo, strategy } = cell;
  const asked = askedOf(cell);
  if (task.policy === null) {
    const server = withCores(cell.server, cores);
    const service =
      asked.service ?? serviceOf('service', asked.workload, { cores, loadRatio: FULL_LOAD_RATIO, trace: asked.trace });
    const requests = listRequests(service, seed, durationNs);
    const { frequencyBoundRatio } = service;
    const { joules } = energyLowerBound({ server, requests, frequencyBoundRatio, slo, durationNs });
    const covered = task.reference && asked.service === undefined;
    const intervalNs = REFERENCE_INTERVAL_MS * NS_PER_MS;
    const reference = covered ? clairvoyantSchedule({ server, service, seed, slo, intervalNs, durationNs }) : null;
    return { kind: 'bound', lowerBoundJ: joules, referenceJ: reference?.meetsSlo === true ? reference.joules : null };
  }
  const policy = policyFrom(task.policy);
  const run = simulateRun({ policy, ...asked, server: cell.server, cores, seed, durationNs, slo, strategy });
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

type Asked = Pick<RunOptions, 'workload' | 'trace' | 'service'>;

function askedOf({ load, slo, server, durationNs }: SweepCell): Asked {
  if (!('recording' in load)) {
    return { workload: workloadNamed(load.workload), trace: traceNamed(load.trace, durationNs) };
  }
  const { workload, replay } = replayedInput(load.recording, slo, server);
  return { workload, trace: traceNamed('constant', durationNs), service: replay.service };
}
