import type { Level } from '../core/controller.ts';
import type { ObservedLoad } from './observed-load.ts';

/**
 * Guards clients that wait for each reply: they slow down with the server, so that the SLO holds while throughput falls, and no
 * queue shows it. What shows it is a service that hardly rests, and for which fewer requests come than came before it was so
 * busy. Where as many come as before, nobody waits for it: what it is behind with is in the queue, which every law sees.
 */
export interface Saturation {
  /** What the level must not be below; 0 while there is nothing to prevent. */
  readonly floor: Level;
  /** The rate of requests while the service last had time to rest, or the highest since; null until known. */
  readonly freeRps: number | null;
  /** The level at which they came. */
  readonly freeLevel: Level;
}

export const neverSaturated: Saturation = { floor: 0, freeRps: null, freeLevel: 1 };

/** Arrivals must have fallen by more than this, and than the chance of a rate that is averaged over about 2,000 of them. */
const FALLEN = 0.05;
/** A service that was never seen to rest gets faster by this at each look, until it rests. */
const SEARCH = 0.1;
/** Each look below the ceiling lowers the floor by this, in search of where it is no longer needed. */
const RELIEF = 0.05;
const LOWEST_FLOOR = 0.01;

/** Once a look at utilisation, which is about a second: for shorter spells the service may be as busy as it likes. */
export function followSaturation(known: Saturation, load: ObservedLoad, ceiling: number): Saturation {
  const { utilization, sinceMs, level, arrivals } = load;
  const before = withoutWhoLeft(known, load);
  if (utilization === null || sinceMs > 0 || arrivals === null) return before;
  const { rps } = arrivals;
  if (utilization <= ceiling) {
    const floor = before.floor * (1 - RELIEF);
    return { floor: floor < LOWEST_FLOOR ? 0 : floor, freeRps: rps, freeLevel: level };
  }
  if (before.freeRps === null)
    return { floor: Math.min(1, Math.max(before.floor, level) * (1 + SEARCH)), freeRps: null, freeLevel: level };
  const freeRps = Math.max(rps, before.freeRps);
  if (rps >= freeRps * (1 - FALLEN) || rps <= 0) return { ...before, freeRps };
  // A saturated service does as much more as it gets faster.
  return { ...before, floor: Math.min(1, Math.max(before.floor, (level * freeRps) / rps)), freeRps };
}

/**
 * Clients that wait slow down as much as the server does, and no more. Where the rate fell by a jump and the level did not fall
 * as far, it is not the server that they left for: what comes now is what comes of itself.
 */
function withoutWhoLeft(before: Saturation, { arrivals, history }: ObservedLoad): Saturation {
  const level = history.at(-1)?.level;
  if (arrivals?.jumped !== true || before.freeRps === null || level === undefined) return before;
  const slower = level / before.freeLevel;
  return arrivals.rps < before.freeRps * Math.min(1, slower) * (1 - FALLEN)
    ? { ...before, freeRps: arrivals.rps, freeLevel: level }
    : before;
}
