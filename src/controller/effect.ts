import type { ControllerInput, Level } from '../core/controller.ts';
import { formatNs } from '../core/units.ts';
import { percent } from './percent.ts';

/**
 * Does more speed help at all? `null`: the SLO is met, or nothing is known. `rising`: it is not met, and the level has been
 * raised since. `futile`: raising was tried and latency is what it was; the level goes back down, step by step, for as
 * long as latency stays what it is.
 */
export type Effect =
  | null
  | { readonly kind: 'rising'; readonly base: Measured; readonly overMs: number; readonly note: string | null }
  | {
      readonly kind: 'futile';
      /** At the verdict: what going down must not make worse. */
      readonly worst: Measured;
      readonly note: string;
      /** The level is capped here. */
      readonly level: Level;
      /** False once a step down has made it worse and was taken back. */
      readonly seeking: boolean;
      readonly sinceStepMs: number;
      readonly forMs: number;
    };

interface Measured {
  readonly level: Level;
  /** Means. */
  readonly handlingNs: number;
  readonly latencyNs: number;
  readonly quantileNs: number;
}

export const initialEffect: Effect = null;

/** A rise must have been tried for so long, ... */
const PATIENCE_MS = 5000;
/** ... by so much, ... */
const RISE = 1.25;
/** ... with no more of the handling time saved than this: a CPU-bound service would have saved 20 %. */
const SAVED = 0.1;
/** At the highest level there is nothing to raise; with this little work for the CPU, speed cannot be what is missing. */
const HARDLY_BUSY = 0.5;

/** A step down, and the least time until the next: a window of measurement if that is longer. */
const STEP_DOWN = 0.85;
const LEAST_REST_MS = 2000;
/** Going down has made it worse when mean latency has grown by this share and what chance can do to it, or the tail so far. */
const WORSE_MEAN = 0.1;
const CHANCE_DEVIATIONS = 3;
const WORSE_TAIL = 2;
/** So long the verdict stands; then raising is tried again. */
const VERDICT_MS = 300_000;
/** A service that has become as busy as this may need the speed after all. */
const BUSY = 0.8;

/**
 * @param floor the level is not taken below this: what the load needs
 * @param measuredLevel the level that the window's latencies were measured at: a rise that is younger has shown nothing yet
 */
export function watchEffect(
  input: ControllerInput,
  before: Effect,
  floor: Level,
  measuredLevel: Level = input.appliedLevel,
): Effect {
  const { observation, slo, elapsedMs, appliedLevel, limits } = input;
  const { quantileNs, handlingTimeNs, utilization } = observation;
  if (quantileNs === null || handlingTimeNs === null) return before;
  if (quantileNs <= slo.latencyNs) return null;
  const latencyNs = handlingTimeNs + (observation.socketWaitNs ?? 0);
  const now: Measured = { level: measuredLevel, handlingNs: handlingTimeNs, latencyNs, quantileNs };
  if (before === null) return { kind: 'rising', base: now, overMs: 0, note: null };

  if (before.kind === 'rising') {
    const state = { ...before, overMs: before.overMs + elapsedMs };
    if (state.overMs < Math.max(PATIENCE_MS, observation.windowMs)) return state;
    const note = futility(input, state.base, now);
    // In an overload speed does help, though the queue hides it for a while.
    const overloaded = utilization === null || utilization > BUSY;
    if (note === null || overloaded) return { ...state, note };
    const worst = { ...now, level: appliedLevel };
    return { kind: 'futile', worst, note, level: appliedLevel, seeking: true, sinceStepMs: 0, forMs: 0 };
  }

  const state = { ...before, sinceStepMs: before.sinceStepMs + elapsedMs, forMs: before.forMs + elapsedMs };
  if (state.forMs >= VERDICT_MS || (utilization ?? 0) > BUSY) return null;
  if (!state.seeking || state.sinceStepMs < Math.max(LEAST_REST_MS, observation.windowMs)) return state;
  const grown = now.latencyNs / state.worst.latencyNs - 1;
  const chance = CHANCE_DEVIATIONS / Math.sqrt(Math.max(1, observation.requests));
  const worse = grown > WORSE_MEAN + chance || quantileNs > WORSE_TAIL * state.worst.quantileNs;
  if (worse) {
    return { ...state, level: Math.min(state.worst.level, state.level / STEP_DOWN), seeking: false, sinceStepMs: 0 };
  }
  const next = Math.max(limits.min, floor, state.level * STEP_DOWN);
  return next < state.level ? { ...state, level: next, sinceStepMs: 0 } : state;
}

/** What there is to say about it, for humans; null where there is nothing. */
export function noteOn(effect: Effect, { appliedLevel, limits }: ControllerInput): string | null {
  if (effect === null) return null;
  if (effect.kind === 'futile' || effect.note !== null) return effect.note;
  return effect.overMs >= PATIENCE_MS && appliedLevel >= limits.max
    ? 'over the SLO at the highest level allowed'
    : null;
}

/** Why more speed is no use, or null: the time goes elsewhere, into a disk, a lock, a slow downstream. */
function futility({ observation, limits }: ControllerInput, base: Measured, now: Measured): string | null {
  const { demandNs, utilization } = observation;
  if (now.level >= RISE * base.level) {
    if (now.handlingNs < (1 - SAVED) * base.handlingNs) return null;
    const from = `${formatNs(base.handlingNs)} at ${percent(base.level)}`;
    return `raising does not help: handling time was ${from} and is ${formatNs(now.handlingNs)} at ${percent(now.level)}`;
  }
  const hardlyBusy = utilization !== null && utilization < HARDLY_BUSY;
  if (now.level < limits.max || !hardlyBusy || demandNs === null || demandNs > HARDLY_BUSY * now.handlingNs)
    return null;
  return `more speed would not help: the CPU works for ${formatNs(demandNs)} of the ${formatNs(now.handlingNs)} that a request takes`;
}
