import type { CpuId } from '../core/units.ts';
import { formatCpuList } from '../core/cpu-list.ts';
import { THREAD_ORDER } from './cpu-control.ts';
import type { Threads } from './cpu-owners.ts';
import type { ControlRecord } from './journal.ts';

interface Known {
  readonly startTicks: number;
  /** What its owner has given it. */
  readonly original: readonly number[];
  /** Narrower than what its process may use: its owner has chosen these CPUs. */
  readonly pinned: boolean;
}

/**
 * The masks of a service's threads. Behind a cpuset only those count that their owners have pinned: until Linux 6.2 the kernel
 * forgets such a mask when the cpuset changes (8f9ea86fdf99, "sched: Always preserve the user requested cpumask"). Without a
 * cpuset all threads are set, and new ones as they come.
 */
export class ThreadMasks {
  readonly #threads: Threads;
  readonly #pinnedAlone: boolean;
  readonly #remember: (records: readonly ControlRecord[]) => void;
  readonly #known = new Map<number, Known>();
  /** By process: what a thread has that nobody has pinned, which is what its process had when we came. */
  readonly #usual = new Map<number, readonly number[]>();
  /** That of the first process, for those that came when we had set the masks already. */
  #firstUsual: readonly number[] | undefined;
  /** What we have set last, which new threads inherit; null: nothing yet. */
  #set: string | null = null;

  /** @param remember writes originals down before the first write */
  constructor(threads: Threads, pinnedAlone: boolean, remember: (records: readonly ControlRecord[]) => void) {
    this.#threads = threads;
    this.#pinnedAlone = pinnedAlone;
    this.#remember = remember;
  }

  /**
   * Finds threads that are new and writes their originals down.
   * @param available what a thread can have that is not pinned
   * @throws ActuatorError `journal-failed`
   */
  look(pids: readonly number[], available: readonly number[]): void {
    const alive = new Set<number>();
    const records: ControlRecord[] = [];
    const found = new Map<number, Known>();
    for (const pid of pids) {
      for (const tid of this.#threads.threadsOf(pid)) {
        alive.add(tid);
        const startTicks = this.#threads.startOf(tid);
        if (startTicks === null || this.#known.get(tid)?.startTicks === startTicks) continue;
        const mask = this.#threads.maskOf(tid);
        if (mask === null) continue;
        const known = this.#judge(pid, startTicks, mask, available);
        found.set(tid, known);
        if (known.pinned || !this.#pinnedAlone) records.push(recordOf(tid, known));
      }
    }
    this.#remember(records);
    for (const [tid, known] of found) this.#known.set(tid, known);
    for (const tid of this.#known.keys()) if (!alive.has(tid)) this.#known.delete(tid);
    this.#forgetGone(new Set(pids));
  }

  /** A service may fork for every connection. One that is only not named for once is not forgotten. */
  #forgetGone(named: ReadonlySet<number>): void {
    for (const pid of this.#usual.keys()) {
      if (!named.has(pid) && this.#threads.startOf(pid) === null) this.#usual.delete(pid);
    }
  }

  #judge(pid: number, startTicks: number, mask: readonly number[], available: readonly number[]): Known {
    // A thread that inherited what we have set: its owner has not chosen it.
    const inherited = this.#set !== null && formatCpuList(mask) === this.#set;
    const first = inherited ? this.#firstUsual : undefined;
    const usual = this.#usual.get(pid) ?? (this.#pinnedAlone ? available : (first ?? mask));
    this.#firstUsual ??= usual;
    if (!this.#usual.has(pid)) this.#usual.set(pid, usual);
    if (inherited) return { startTicks, original: usual, pinned: false };
    const reach = this.#pinnedAlone ? available : usual;
    const pinned = mask.length < reach.length && mask.every((cpu) => reach.includes(cpu));
    return { startTicks, original: mask, pinned };
  }

  /** Brings the masks into these CPUs. A pinned thread keeps its own, as far as they are among them. @returns writes */
  set(cpus: readonly CpuId[]): number {
    let writes = 0;
    for (const [tid, { startTicks, original, pinned }] of this.#known) {
      if (this.#pinnedAlone && !pinned) continue;
      const own = original.filter((cpu) => cpus.includes(cpu as CpuId));
      // A thread of which no CPU is granted stays where its owner has put it, unless a cpuset decides.
      if (own.length === 0) continue;
      const now = this.#threads.maskOf(tid);
      if (now === null || formatCpuList(now) === formatCpuList(own)) continue;
      if (this.#threads.startOf(tid) !== startTicks) continue;
      // A thread that ends meanwhile, or whose cpuset has shrunk: looked at again within a second.
      if (this.#threads.setMask(tid, own) === null) writes += 1;
    }
    this.#set = formatCpuList(cpus);
    return writes;
  }
}

/** The thread whose mask a record holds; NaN for a record of anything else. */
export const tidOf = (control: string): number => Number(/^thread\/(\d+)$/.exec(control)?.[1] ?? NaN);

const recordOf = (tid: number, { original, startTicks }: Known): ControlRecord => ({
  control: `thread/${tid}`,
  original: formatCpuList(original),
  order: THREAD_ORDER,
  kind: 'thread',
  startTicks,
});
