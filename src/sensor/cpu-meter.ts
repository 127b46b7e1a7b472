import type { Clock } from '../core/clock.ts';
import { NS_PER_S } from '../core/units.ts';
import type { CpuTimes, ProcessTimes } from './process-times.ts';

/** USER_HZ, the unit of /proc/PID/stat, is 100 on every architecture that Node runs on. */
const NS_PER_TICK = NS_PER_S / 100;
/** A look takes time for each thread: it may take this share of ours. */
const SHARE_OF_TIME = 0.01;
const LEAST_INTERVAL_NS = NS_PER_S;
/** While nothing is known yet, a coarse figure soon is worth more than a good one later. */
const FIRST_INTERVAL_NS = 0.3 * NS_PER_S;

/**
 * How much CPU time a target's processes take, from looks at their clocks that are a second or more apart. Between looks
 * the rate of the last interval is taken to go on.
 */
export class CpuMeter {
  readonly #clock: Clock;
  readonly #source: ProcessTimes;
  readonly #processes = new Map<number, CpuTimes>();
  /** By process. */
  #threads: ReadonlyMap<number, ReadonlyMap<number, CpuTimes>> = new Map();
  #last: { readonly startNs: bigint; readonly tookNs: number } | undefined;
  #processRate: number | null = null;
  #busiestThreadRatio: number | null = null;

  constructor(clock: Clock, source: ProcessTimes) {
    this.#clock = clock;
    this.#source = source;
  }

  /** Whether it is time for a look. */
  isDue(nowNs: bigint): boolean {
    if (this.#last === undefined) return true;
    const leastNs = this.#processRate === null ? FIRST_INTERVAL_NS : LEAST_INTERVAL_NS;
    return Number(nowNs - this.#last.startNs) >= Math.max(leastNs, this.#last.tookNs / SHARE_OF_TIME);
  }

  /**
   * @param pids the target's processes; those of earlier looks are remembered until they end
   * @returns those that have ended, also where another process has the id by now: whether it serves the target is not known
   */
  look(pids: Iterable<number>): readonly number[] {
    const ended: number[] = [];
    const startNs = this.#clock.monotonicNs();
    const processTicks: number[] = [];
    const threadTicks: number[] = [];
    const threads = new Map<number, ReadonlyMap<number, CpuTimes>>();
    for (const pid of new Set([...this.#processes.keys(), ...pids])) {
      const times = this.#source.ofProcess(pid);
      const before = this.#processes.get(pid);
      if (times === undefined || (before !== undefined && before.startTicks !== times.startTicks)) {
        this.#processes.delete(pid);
        ended.push(pid);
        continue;
      }
      const known = this.#threads.get(pid);
      // Where the process has used none, neither has any of its threads: they need not be looked at.
      const rested = known !== undefined && before?.cpuTicks === times.cpuTicks;
      const found = rested ? known : this.#source.ofThreads(pid);
      processTicks.push(...ticksSince(before, times));
      this.#processes.set(pid, times);
      for (const [tid, threadTimes] of found) threadTicks.push(...ticksSince(known?.get(tid), threadTimes));
      threads.set(pid, found);
    }
    this.#threads = threads;
    const intervalNs = this.#last === undefined ? 0 : Number(startNs - this.#last.startNs);
    const rateOf = (ticks: number) => (ticks * NS_PER_TICK) / intervalNs;
    this.#processRate = processTicks.length > 0 ? rateOf(processTicks.reduce((sum, ticks) => sum + ticks)) : null;
    // Ticks are coarse: a thread that never rests may show one too many.
    this.#busiestThreadRatio = threadTicks.length > 0 ? Math.min(1, rateOf(Math.max(...threadTicks))) : null;
    this.#last = { startNs, tookNs: Number(this.#clock.monotonicNs() - startNs) };
    return ended;
  }

  /** CPU time of a window that ends now, in ns; null while no process has been looked at twice. */
  cpuTimeNs(windowNs: number): number | null {
    return this.#processRate === null ? null : this.#processRate * windowNs;
  }

  /** Busy share (0..1) of the thread that was busiest in the last interval; null while no thread has been looked at twice. */
  get busiestThreadRatio(): number | null {
    return this.#busiestThreadRatio;
  }
}

/** None for what is new to us: what it used before belongs to no window of ours. */
function ticksSince(before: CpuTimes | undefined, now: CpuTimes): number[] {
  return before?.startTicks === now.startTicks ? [now.cpuTicks - before.cpuTicks] : [];
}
