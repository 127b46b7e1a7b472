import type { ControllerInput } from '../core/controller.ts';
import { type LevelHistory, meanLevel, remember } from './level-history.ts';

/** The load as a share of full capacity: utilisation × the level that it was measured at. It does not change when the level does. */
export interface ObservedLoad {
  /** Null while not known. */
  readonly load: number | null;
  /** The utilisation that was last taken in, and how long ago. */
  readonly utilization: number | null;
  readonly sinceMs: number;
  readonly history: LevelHistory;
}

export const unknownLoad: ObservedLoad = { load: null, utilization: null, sinceMs: 0, history: [] };

/** The sensor looks at utilisation about once a second, and shows the same look until the next. */
const LOOK_MS = 1000;

/** @param weight of a new look, 0..1: less smooths its noise */
export function observeLoad(before: ObservedLoad, input: ControllerInput, weight: number): ObservedLoad {
  const { observation, appliedLevel, elapsedMs } = input;
  const history = remember(before.history, appliedLevel, elapsedMs, LOOK_MS);
  const sinceMs = before.sinceMs + elapsedMs;
  const { utilization } = observation;
  const isNew = utilization !== null && (utilization !== before.utilization || sinceMs >= LOOK_MS);
  if (!isNew) return { ...before, history, sinceMs };
  const now = utilization * meanLevel(history, appliedLevel);
  const load = before.load === null ? now : before.load + (now - before.load) * weight;
  return { load, utilization, sinceMs: 0, history };
}
