import type { ControllerInput, Level } from '../core/controller.ts';
import { type ArrivalRate, followArrivals } from './arrival-rate.ts';
import { type LevelHistory, meanLevel, remember } from './level-history.ts';

/**
 * The load as a share of full capacity, which does not change when the level does: what a request takes of it, averaged
 * over many, × the arrival rate, which follows a jump at once.
 */
export interface ObservedLoad {
  /** Null while not known. */
  readonly load: number | null;
  readonly arrivals: ArrivalRate | null;
  /** What one request a second takes of full capacity; null while not known. */
  readonly perRps: number | null;
  /** The utilisation that was last taken in, how long ago, and how many requests have completed since. */
  readonly utilization: number | null;
  readonly sinceMs: number;
  /** The level over the last look. */
  readonly level: Level;
  readonly requests: number;
  readonly looks: number;
  /** The arrival rate has jumped since the last look: the next one is of two loads, and of neither. */
  readonly mixed: boolean;
  readonly history: LevelHistory;
}

export const unknownLoad: ObservedLoad = {
  load: null,
  arrivals: null,
  perRps: null,
  utilization: null,
  sinceMs: 0,
  level: 1,
  requests: 0,
  looks: 0,
  mixed: false,
  history: [],
};

/** The sensor looks at utilisation about once a second, and shows the same look until the next. */
const LOOK_MS = 1000;
/** What a request takes is averaged over so many looks. */
const LOOKS_AVERAGED = 8;
/** A saturated service shows no more load than there is speed for: such looks are followed faster. */
const SATURATED = 0.99;
const LOOKS_SATURATED = 2;

export function observeLoad(before: ObservedLoad, input: ControllerInput): ObservedLoad {
  const { observation, appliedLevel, elapsedMs } = input;
  const history = remember(before.history, appliedLevel, elapsedMs, LOOK_MS);
  const arrivals = followArrivals(before.arrivals, observation);
  const sinceMs = before.sinceMs + elapsedMs;
  const requests = before.requests + observation.latest.requests;
  const { utilization } = observation;
  const isNew = utilization !== null && (utilization !== before.utilization || sinceMs >= LOOK_MS);
  const level = isNew ? meanLevel(history, appliedLevel) : before.level;
  // What a request takes at another load may be another: mostly since the level is another, and not all work follows it.
  const jumped = before.arrivals !== null && arrivals?.jumped === true;
  const known = jumped ? { ...before, looks: Math.min(1, before.looks) } : before;
  const mixed = jumped || before.mixed;
  const isClear = isNew && (!mixed || before.perRps === null);
  const seen = isClear ? look(known, utilization, level, requests, sinceMs) : known;
  const { perRps } = seen;
  const load = perRps === null || arrivals === null ? null : perRps * arrivals.rps;
  const since = isNew
    ? { utilization, sinceMs: 0, requests: 0, level }
    : { utilization: before.utilization, sinceMs, requests, level };
  return { load, arrivals, perRps, looks: seen.looks, mixed: mixed && !isNew, history, ...since };
}

function look(before: ObservedLoad, utilization: number, level: Level, requests: number, sinceMs: number) {
  if (requests <= 0 || sinceMs <= 0) return before;
  const now = (utilization * level * sinceMs) / 1000 / requests;
  const most = utilization >= SATURATED ? LOOKS_SATURATED : LOOKS_AVERAGED;
  const looks = Math.min(most, before.looks + 1);
  return { perRps: before.perRps === null ? now : before.perRps + (now - before.perRps) / looks, looks };
}
