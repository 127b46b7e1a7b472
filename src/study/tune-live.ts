import { messageOf, UsageError } from '../core/errors.ts';
import { toleratedRatio } from '../core/slo.ts';
import { ControlError, type ControlClient } from '../telemetry/control-client.ts';
import type { DaemonStatus } from '../telemetry/daemon-status.ts';
import type { DaemonTotals, ServiceTotals } from '../telemetry/daemon-totals.ts';
import type { PowerOrigin } from '../telemetry/power-meter.ts';
import { blockBetween } from './measure/block.ts';
import { type Parameters, type Score, type Tried, tuneParameters, type TunedParameter } from './tune-policy.ts';

export interface LiveTuneOptions {
  readonly daemon: Pick<ControlClient, 'status' | 'totals' | 'swapPolicy'>;
  readonly service: string;
  /** What may be tried, and nothing else. */
  readonly searched: readonly TunedParameter[];
  /** The parameters of the policy that governs, and its file, which governs again in the end. */
  readonly start: Parameters;
  readonly original: string;
  /** Writes a policy with these parameters. @returns its absolute path */
  readonly write: (parameters: Parameters) => string;
  /** Rejects when it is aborted. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  readonly blockMs: number;
  /** Of each block's beginning, left out of its figures, but not of the watch: shorter than a block. */
  readonly warmupMs: number;
  /** A block with more than so many times the late requests that the SLO tolerates ends it all. */
  readonly limit: number;
  readonly signal: AbortSignal;
  readonly onTried?: (tried: LiveTried) => void;
}

/** `energyJ` is the mean power ÷ that of the original policy in the block before; the one window is the block. */
export interface LiveTried extends Tried {
  readonly lateRatio: number;
  readonly requests: number;
}

export interface LiveTuning {
  /** The best first; the original policy is among them. */
  readonly tried: readonly Tried[];
  /** Where the watts come from. */
  readonly power: PowerOrigin;
  /** Why it ended before its time; null where it did not. */
  readonly ended: string | null;
  /** Why the original policy does not govern again; null where it does, or where it is not ours to put back. */
  readonly notRestored: string | null;
}

/** How often the service is looked at while a candidate governs. */
const LOOK_MS = 1000;
/** A candidate governs no longer than this after the last look: whoever tunes may be killed. */
const LEASE_MS = 10_000;
/** Fewer late requests than these are no evidence, whatever their share. */
const LEAST_LATE = 10;
const ONE_ROUND = 1;
const RESTORE_TRIES = 5;
const RESTORE_PAUSE_MS = 1000;

/** Somebody else decides about the policy now. */
class Overruled extends Error {}

/**
 * Searches parameters on a live service: each candidate governs for a block, after a block of the original policy, which it is
 * compared with, for the load drifts. Candidates are swapped in for a time that is renewed at each look, so that the daemon goes
 * back to the original policy by itself where this process is killed. It ends at the first block that is late beyond the
 * limit, at a signal and at any error, and then swaps the original back.
 *
 * @throws UsageError where nothing can be tuned: the daemon does not govern the service, or does not know the power
 */
export async function tuneLive(options: LiveTuneOptions): Promise<LiveTuning> {
  const { daemon, service, original, signal, searched, start, write, onTried } = options;
  const first = await daemon.totals();
  refuse(first, service);
  let ended: string | null = null;
  let overruled = false;

  const ours = new Set([original]);

  const evaluate = async (parameters: Parameters): Promise<Score> => {
    const isStart = parameters === start;
    const reference = await block(original, null);
    const candidate = isStart ? reference : await block(written(parameters), LEASE_MS);
    const { requests, overSlo, slo } = candidate.service;
    const lateRatio = requests === 0 ? 0 : overSlo / requests;
    const score = {
      energyJ: candidate.watts / reference.watts,
      windows: 1,
      missedWindows: lateRatio > toleratedRatio(slo) + 1e-12 ? 1 : 0,
    };
    onTried?.({ ...score, parameters, lateRatio, requests });
    return score;
  };

  const tried = await tuneParameters(
    searched,
    start,
    async (candidates) => {
      const scores: (Score | undefined)[] = [];
      for (const candidate of candidates) {
        if (ended !== null) break;
        try {
          scores.push(await evaluate(candidate));
        } catch (error) {
          ended = signal.aborted ? messageOf(signal.reason) : messageOf(error);
          overruled = error instanceof Overruled;
        }
      }
      return scores;
    },
    ONE_ROUND,
  );
  return { tried, power: first.energy!.origin, ended, notRestored: overruled ? null : await restore(options, ours) };

  function written(parameters: Parameters): string {
    const file = write(parameters);
    ours.add(file);
    return file;
  }

  async function block(file: string, forMs: number | null) {
    signal.throwIfAborted();
    await daemon.swapPolicy(service, file, false, forMs ?? undefined);
    const began = await look(file);
    await watch(options.warmupMs, file, forMs, began);
    const before = await look(file);
    await watch(options.blockMs - options.warmupMs, file, forMs, began);
    const { power, services } = blockBetween('governed', before, await look(file));
    if (power === null) throw new Error('the power is not known any more');
    return { watts: power.watts, service: services.find((each) => each.service === service)! };
  }

  /** Lets time pass, and ends it all where too many requests are late since the block began. */
  async function watch(ms: number, file: string, forMs: number | null, began: DaemonTotals): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= LOOK_MS) {
      await options.sleep(Math.min(leftMs, LOOK_MS), signal);
      const [then, now] = [sumsOf(began, service), sumsOf(await look(file), service)];
      if (forMs !== null) await daemon.swapPolicy(service, file, false, forMs);
      const requests = now.requests - then.requests;
      const late = now.overSlo - then.overSlo;
      if (late > Math.max(LEAST_LATE, options.limit * toleratedRatio(now.slo) * requests)) {
        throw new Error(
          `${late} of ${requests} requests were late, more than ${options.limit} times what the objective tolerates`,
        );
      }
    }
  }

  /** @throws Error where another than ours governs, or another daemon */
  async function look(file: string): Promise<DaemonTotals> {
    const [status, totals] = [await daemon.status(), await daemon.totals()];
    if (totals.startedAt !== first.startedAt) throw new Overruled('the daemon was started anew meanwhile');
    if (totals.state !== 'governing') throw new Error(`the daemon is ${totals.state} now`);
    const governs = policyOf(status, service);
    if (governs !== file) throw new Overruled(`somebody else has changed the policy, to ${String(governs)}`);
    return totals;
  }
}

function refuse({ state, mode, services, energy }: DaemonTotals, service: string): void {
  if (mode !== 'govern') throw new UsageError('the daemon makes a dry run: nothing that is tried would show');
  if (state !== 'governing') {
    throw new UsageError(`the daemon is ${state}, expected one that governs: see \`tailgov status\``);
  }
  if (!services.some((each) => each.service === service)) {
    const names = services.map((each) => each.service).join(', ');
    throw new UsageError(`--live ${service}: not governed, expected one of ${names}`);
  }
  if (energy === null) {
    throw new UsageError('the daemon knows no power, so that nothing can be compared: see telemetry.powerModel');
  }
}

function sumsOf({ services }: DaemonTotals, service: string): ServiceTotals {
  const sums = services.find((each) => each.service === service);
  if (sums === undefined) throw new Overruled(`${service} is not governed any more`);
  return sums;
}

const policyOf = ({ changes }: DaemonStatus, service: string): string | undefined =>
  changes.policies.find((policy) => policy.service === service)?.file;

/** Not to be aborted. @param ours what may be put away: another policy is somebody else's, and stays */
async function restore(options: LiveTuneOptions, ours: ReadonlySet<string>): Promise<string | null> {
  const { daemon, service, original, sleep } = options;
  for (let tries = 1; ; tries++) {
    try {
      const governs = policyOf(await daemon.status(), service);
      if (governs === undefined || !ours.has(governs)) return null;
      await daemon.swapPolicy(service, original, false);
      return null;
    } catch (error) {
      // A daemon that is started again governs by its config.
      if (error instanceof ControlError && error.code === 'not-running') return null;
      if (tries === RESTORE_TRIES) return messageOf(error);
    }
    await sleep(RESTORE_PAUSE_MS);
  }
}
