import type { Health } from '../core/sensor.ts';
import { NS_PER_S } from '../core/units.ts';

/** What tells a target's state at the end of a window. */
export interface Signs {
  readonly windowNs: number;
  readonly arrivals: number;
  readonly requests: number;
  readonly inFlight: number;
  /** Since a request last completed or, where that is later, since nothing was in flight. */
  readonly sinceProgressNs: number;
  readonly sloLatencyNs?: number | undefined;
}

const STALL_NS = NS_PER_S;
const STALL_SLOS = 10;

/** How long requests may be in flight with none completing before that is called a stall. */
export const stallAfterNs = (sloLatencyNs = 0): number => Math.max(STALL_NS, STALL_SLOS * sloLatencyNs);

/** A clock that stands still or runs backwards makes every figure of the window worthless: `silence`. */
export function healthOf(signs: Signs): Health {
  if (!(signs.windowNs > 0)) return 'silence';
  if (signs.inFlight > 0 && signs.requests === 0) {
    return signs.sinceProgressNs > stallAfterNs(signs.sloLatencyNs) ? 'stall' : 'active';
  }
  return signs.arrivals === 0 && signs.requests === 0 ? 'idle' : 'active';
}
