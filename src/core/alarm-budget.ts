import { NS_PER_MS } from './units.ts';

/**
 * What wakes the loop before its tick: so many requests that were late, or that waited so long before they were taken up.
 * Where requests come so often that a hiccup of a ms makes dozens of them late, which their objective tolerates, it takes a share
 * of them.
 */
export interface AlarmBudget {
  /** So many late requests, at least. */
  readonly lateBudget: number;
  /** And this share of those beyond MANY_A_MS; absent: none. */
  readonly lateRatio?: number;
  readonly waitBudgetNs: number;
  /** One has to wait for longer than that, and this share of those beyond MANY_A_MS; absent: none. */
  readonly waitingRatio?: number;
}

/** How many it takes, of each kind. */
export interface AlarmCounts {
  readonly late: number;
  readonly waiting: number;
}

/** What came in the window before: the next one is taken to hold as many. */
export interface SeenBefore {
  readonly requests: number;
  readonly windowNs: number;
}

/** Adds up what reads see from one arming of the alarms to the next. */
export class SeenSinceArmed {
  #requests = 0;
  #windowNs = 0;

  add(requests: number, windowNs: number): void {
    this.#requests += requests;
    this.#windowNs += windowNs;
  }

  /** The alarms are armed now: what comes from here on is added up anew. */
  take(): SeenBefore {
    const seen = { requests: this.#requests, windowNs: this.#windowNs };
    this.#requests = 0;
    this.#windowNs = 0;
    return seen;
  }
}

/** Up to so many requests a ms each of them is worth waking for. */
const MANY_A_MS = 10;

export function alarmCounts(budget: AlarmBudget, before: SeenBefore): AlarmCounts {
  const { lateBudget, lateRatio = 0, waitingRatio = 0 } = budget;
  const beyond = Math.max(0, before.requests - (MANY_A_MS * before.windowNs) / NS_PER_MS);
  return {
    late: Math.max(lateBudget, Math.ceil(lateRatio * beyond)),
    waiting: Math.max(1, Math.ceil(waitingRatio * beyond)),
  };
}
