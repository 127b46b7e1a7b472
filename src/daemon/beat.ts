import { NS_PER_MS } from '../core/units.ts';

/** While the loop rests it ticks about so often: often enough for whoever watches it, and for what others do to the machine. */
export const REST_INTERVAL_MS = 500;

/** When the loop is to tick: once an interval, and less often while it rests. */
export class Beat {
  #intervalNs: bigint;
  #resting = false;
  #dueNs: bigint;

  constructor(nowNs: bigint, intervalMs: number) {
    this.#intervalNs = nsOf(intervalMs);
    this.#dueNs = nowNs + this.#intervalNs;
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
    const beforeNs = this.#stepNs;
    this.#intervalNs = nsOf(intervalMs);
    this.#resting = resting;
    const stepNs = this.#stepNs;
    if (stepNs === beforeNs) return false;
    const dueNs = this.#dueNs + stepNs - beforeNs;
    // A rest may have lasted for long, or have been about to end.
    this.#dueNs = dueNs > nowNs ? dueNs : nowNs + stepNs;
    return true;
  }

  /** On the beat of the interval. */
  get #stepNs(): bigint {
    if (!this.#resting) return this.#intervalNs;
    const intervals = nsOf(REST_INTERVAL_MS) / this.#intervalNs;
    return intervals > 1n ? intervals * this.#intervalNs : this.#intervalNs;
  }
}

const nsOf = (ms: number) => BigInt(Math.round(ms * NS_PER_MS));
