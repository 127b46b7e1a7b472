import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { PLACES, type TargetPlace } from '../core/target-place.ts';
import { NS_PER_S } from '../core/units.ts';
import { CgroupTree } from './cgroup-tree.ts';
import { type Listener, listenersOf, netnsOf } from './listening-ports.ts';
import { descendants } from './process-tree.ts';
import { type ProcessTimes, procTimes } from './process-times.ts';

/** A look takes time for each process and descriptor: it may take this share of ours. */
const SHARE_OF_TIME = 0.01;
const LEAST_INTERVAL_NS = NS_PER_S;
/** However long a look takes on a busy machine, what is new is found in the end. */
const MOST_INTERVAL_NS = 5 * NS_PER_S;
const NETNS_DIRECTORY = '/run/netns';

/** What the resolver looks at; the machine's own, but for tests. */
export interface Machine {
  readonly proc?: string;
  readonly cgroups?: CgroupTree;
  readonly times?: ProcessTimes;
}

/**
 * Finds out where targets listen that are not given as ports alone, and follows them: a unit that is restarted, a worker
 * that comes later. What begins to listen is found at the next look, a second later, or up to five where a look takes more
 * than 10 ms.
 */
export class TargetResolver {
  readonly #places: readonly TargetPlace[];
  readonly #clock: Clock;
  readonly #proc: string;
  readonly #cgroups: CgroupTree;
  readonly #times: ProcessTimes;
  /** When the processes that were given by number had started: a later one of the same number is another. */
  readonly #startTicks = new Map<number, number>();
  #last: { readonly startNs: bigint; readonly tookNs: number } | undefined;

  constructor(places: readonly TargetPlace[], clock: Clock, machine: Machine = {}) {
    this.#places = places;
    this.#clock = clock;
    this.#proc = machine.proc ?? '/proc';
    this.#cgroups = machine.cgroups ?? new CgroupTree();
    this.#times = machine.times ?? procTimes;
  }

  isDue(nowNs: bigint): boolean {
    if (this.#last === undefined) return true;
    const intervalNs = Math.max(LEAST_INTERVAL_NS, this.#last.tookNs / SHARE_OF_TIME);
    return Number(nowNs - this.#last.startNs) >= Math.min(intervalNs, MOST_INTERVAL_NS);
  }

  /** Where each place listens now, in the order of the places; empty while nothing is there. */
  look(): readonly (readonly Listener[])[] {
    const startNs = this.#clock.monotonicNs();
    const found = this.#places.map((place) => this.#listeners(place));
    this.#last = { startNs, tookNs: Number(this.#clock.monotonicNs() - startNs) };
    return found;
  }

  #listeners(place: TargetPlace): readonly Listener[] {
    const { ports, netns } = place;
    const pids = this.#processes(place);
    if (pids !== undefined) {
      return listenersOf(pids, this.#proc).filter(({ port }) => ports === undefined || ports.includes(port));
    }
    if (ports === undefined) return [];
    const file =
      netns?.startsWith('/') === false ? join(NETNS_DIRECTORY, netns) : (netns ?? join(this.#proc, 'self/ns/net'));
    const inum = netnsOf(file);
    return inum === undefined ? [] : ports.map((port) => ({ netns: inum, port }));
  }

  /** undefined where the place is none of processes. */
  #processes({ pid, unit, cgroup, container }: TargetPlace): readonly number[] | undefined {
    if (pid !== undefined) return this.#isSameAsBefore(pid) ? descendants(pid, this.#proc) : [];
    if (unit !== undefined) return this.#members(this.#cgroups.directoryOfUnit(unit));
    if (cgroup !== undefined) return this.#members(this.#cgroups.directoryOf(cgroup));
    if (container !== undefined) return this.#members(this.#cgroups.directoryOfContainer(container));
    return undefined;
  }

  #members(directory: string | undefined): readonly number[] {
    return directory === undefined ? [] : this.#cgroups.processes(directory);
  }

  #isSameAsBefore(pid: number): boolean {
    const startTicks = this.#times.ofProcess(pid)?.startTicks;
    if (startTicks === undefined) return false;
    const before = this.#startTicks.get(pid);
    if (before === undefined) this.#startTicks.set(pid, startTicks);
    return before === undefined || before === startTicks;
  }
}

/** Whether the port table says it all: these ports of our own network namespace. */
export const isPlainPorts = (place: TargetPlace): boolean =>
  place.ports !== undefined &&
  place.netns === undefined &&
  PLACES.every((key) => key === 'ports' || place[key] === undefined);
