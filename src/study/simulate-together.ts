import type { Clock } from '../core/clock.ts';
import { NS_PER_MS } from '../core/units.ts';
import { isBaseline } from './pilot.ts';
import { type RunOptions, type RunResult, SimulatedRun } from './simulated-run.ts';
import { listRequests } from '../plant/requests.ts';
import { energyLowerBound } from './reference/lower-bound.ts';
import { type Clairvoyant, searchClairvoyant } from './reference/clairvoyant.ts';

export interface TogetherOptions extends Omit<RunOptions, 'policy'> {
  readonly policies: readonly RunOptions['policy'][];
  /** Whether to look for the clairvoyant reference as well, which takes its time. */
  readonly reference: boolean;
  /** Real time, for `wallNs` and for giving way to signals. */
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

export interface Progress {
  readonly phase: 'simulate' | 'reference';
  /** Simulated time of every run, and of the whole. */
  readonly simulatedNs: number;
  readonly durationNs: number;
}

export interface TogetherResult {
  /** In the order of the policies, all of the same length. */
  readonly runs: readonly TimedRun[];
  /** True where the signal came before the end: the runs are shorter than was asked for. */
  readonly partial: boolean;
  /** null where it was not asked for, or not found before the signal came. */
  readonly reference: Clairvoyant | null;
  /**
   * Energy that no policy which keeps the SLO can undercut; null where the runs were stopped, the requests are too many, or
   * several services share the cores.
   */
  readonly lowerBoundJ: number | null;
}

export interface TimedRun extends RunResult {
  /** Real time that it took. */
  readonly wallNs: number;
}

/** How much of each run goes by before the next one has its turn: little, for a signal is heeded between rounds. */
const TURN_NS = 100 * NS_PER_MS;
/** How long a signal may wait. */
const LONGEST_DEAF_NS = 50 * NS_PER_MS;

/**
 * Runs every policy on a server of its own, all side by side in simulated time: what is there when the signal comes can
 * be compared. A signal ends it early, and is no error.
 *
 * @throws RangeError where the reference does not cover the workload, or the models contradict themselves
 */
export async function simulateTogether(options: TogetherOptions): Promise<TogetherResult> {
  const { policies, durationNs, signal, clock, onProgress } = options;
  const runs = policies.map((policy) => ({ run: new SimulatedRun({ ...options, policy }), wallNs: 0 }));
  const search = options.reference ? searchReference(options, runs[0]!.run) : null;
  const giveWay = givingWay(clock);
  for (let untilNs = 0; untilNs < durationNs && !signal.aborted;) {
    untilNs = Math.min(durationNs, untilNs + TURN_NS);
    for (const each of runs) {
      const beganNs = clock.monotonicNs();
      each.run.advanceTo(untilNs);
      each.wallNs += Number(clock.monotonicNs() - beganNs);
    }
    onProgress?.({ phase: 'simulate', simulatedNs: untilNs, durationNs });
    await giveWay();
  }
  const results = runs.map(({ run, wallNs }) => ({ ...run.result, wallNs }));
  const partial = results.some(({ simulatedNs }) => simulatedNs < durationNs);
  let reference: Clairvoyant | null = null;
  while (search !== null && reference === null && !signal.aborted) {
    const step = search.next();
    if (step.done === true) reference = step.value;
    onProgress?.({ phase: 'reference', simulatedNs: durationNs, durationNs });
    await giveWay();
  }
  const lowerBoundJ = partial ? null : boundOf(options, runs[0]!.run, results[0]!.arrivals);
  return { runs: results, partial, reference, lowerBoundJ };
}

/** At the intervals of the policies that it is compared with: of the quickest policy, where they differ. */
function searchReference({ policies, seed, slo, durationNs }: TogetherOptions, { server, service }: SimulatedRun) {
  const intervalNs =
    Math.min(...policies.map((policy) => (isBaseline(policy) ? Infinity : policy.intervalMs))) * NS_PER_MS;
  return searchClairvoyant({ server, service, seed, slo, intervalNs, durationNs });
}

/** More are not listed: they would take gigabytes. */
const MOST_LISTED = 20_000_000;

function boundOf(
  { seed, slo, durationNs, beside = [] }: TogetherOptions,
  { server, service }: SimulatedRun,
  arrivals: number,
) {
  // With others on the same cores it would bound less than there is to do.
  if (arrivals > MOST_LISTED || service.arrivals.kind === 'closed' || beside.length > 0) return null;
  const requests = listRequests(service, seed, durationNs);
  const { frequencyBoundRatio } = service;
  return energyLowerBound({ server, requests, frequencyBoundRatio, slo, durationNs }).joules;
}

function givingWay(clock: Clock): () => Promise<void> {
  let sinceNs = clock.monotonicNs();
  return async () => {
    if (Number(clock.monotonicNs() - sinceNs) < LONGEST_DEAF_NS) return;
    await new Promise((resolve) => setImmediate(resolve));
    sinceNs = clock.monotonicNs();
  };
}
