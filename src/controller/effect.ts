import type { ControllerInput, Level } from '../core/controller.ts';
import { formatNs } from '../core/units.ts';
import { percent } from './percent.ts';

/** Since when, and from what, the level has been raised without latency coming into the SLO. */
export type Effect = { readonly baseLevel: Level; readonly baseHandlingNs: number; readonly overMs: number } | null;

export const initialEffect: Effect = null;

/** A rise must have been tried for so long, ... */
const PATIENCE_MS = 5000;
/** ... by so much, ... */
const RISE = 1.25;
/** ... with no more of the handling time saved than this: a CPU-bound service would have saved 20 %. */
const SAVED = 0.1;

/**
 * Watches whether raising the level helps while latency is over the SLO. Where it does not, the time goes elsewhere (a disk,
 * a slow downstream, a lock) or the service is out of capacity, and somebody should be told.
 */
export function watchEffect(
  { observation, slo, elapsedMs, appliedLevel, limits }: ControllerInput,
  before: Effect,
): { readonly state: Effect; readonly note: string | null } {
  const { quantileNs, handlingTimeNs } = observation;
  if (quantileNs === null || handlingTimeNs === null) return { state: before, note: null };
  if (quantileNs <= slo.latencyNs) {
    return { state: null, note: null };
  }
  const state =
    before === null
      ? { baseLevel: appliedLevel, baseHandlingNs: handlingTimeNs, overMs: 0 }
      : { ...before, overMs: before.overMs + elapsedMs };
  if (state.overMs < PATIENCE_MS) return { state, note: null };
  if (appliedLevel >= RISE * state.baseLevel && handlingTimeNs >= (1 - SAVED) * state.baseHandlingNs) {
    const from = `${formatNs(state.baseHandlingNs)} at ${percent(state.baseLevel)}`;
    const to = `${formatNs(handlingTimeNs)} at ${percent(appliedLevel)}`;
    return { state, note: `raising does not help: handling time was ${from} and is ${to}` };
  }
  if (appliedLevel >= limits.max) return { state, note: 'over the SLO at the highest level allowed' };
  return { state, note: null };
}
