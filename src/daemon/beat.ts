import { NS_PER_MS } from '../core/units.ts';

/** While the loop rests it ticks about so often: often enough for whoever watches it, and for what others do to the machine. */
const REST_INTERVAL_MS = 500;

/** How long it is from one tick to the next: at rest as many intervals as fit into REST_INTERVAL_MS. */
export function stepMs(intervalMs: number, resting: boolean): number {
  return resting ? Math.max(1, Math.floor(REST_INTERVAL_MS / intervalMs)) * intervalMs : intervalMs;
}

/** When the loop is to tick: once an interval, and less often while it rests. */
export class Beat {
  #stepNs: bigint;
  #dueNs: bigint;

  constructor(nowNs: bigint, intervalMs: number) {
    this.#stepNs = nsOf(intervalMs);
    this.#dueNs = nowNs + this.#stepNs;
  }

  /** The next tick by the clock. */
  get dueNs(): bigint {
    return this.#dueNs;
  }

  /**
   * The tick that was due has been done. The next one is the first of the beat that lies ahead: those that have passed meanwhile,
   * as while the machine was suspended or the thread got no CPU, are counted and not made up for.
   *
   * @returns how many have passed
   */
  ticked(nowNs: bigint): number {
    const missed = nowNs < this.#dueNs ? 0n : (nowNs - this.#dueNs) / this.#stepNs;
    this.#dueNs += (missed + 1n) * this.#stepNs;
    return Number(missed);
  }

  /**
   * To be told after each tick and each change: another policy, or another rule of its schedule, may tick more often or less, and
   * a rest begins and ends. The next tick moves by as much.
   *
   * @returns whether it has moved
   */
  follow(intervalMs: number, resting: boolean, nowNs: bigint): boolean {
    const stepNs = nsOf(stepMs(intervalMs, resting));
    if (stepNs === this.#stepNs) return false;
    const dueNs = this.#dueNs + stepNs - this.#stepNs;
    this.#stepNs = stepNs;
    // A rest may have lasted for long, or have been about to end.
    this.#dueNs = dueNs > nowNs ? dueNs : nowNs + stepNs;
    return true;
  }
}

const nsOf = (ms: number) => BigInt(Math.round(ms * NS_PER_MS));
