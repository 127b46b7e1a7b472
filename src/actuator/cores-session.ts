import type { AppliedCpus, WriteOutcome } from '../core/actuator.ts';
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { OperatingPoint } from '../core/machine.ts';
import type { LocateServices, ServicePlace } from '../core/service-place.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import { NS_PER_S, type CpuId } from '../core/units.ts';
import { formatCpuList, parseCpuList } from '../core/cpu-list.ts';
import { type AffinityMethod, chooseControl, type CpuControl, onlineCpus } from './cpu-control.ts';
import type { CpuOwners } from './cpu-owners.ts';
import type { ActuatorLog } from './disturbances.ts';
import { OverrideBudget, type ForeignWriterResponse } from './foreign-writers.ts';
import type { ControlRecord, Journal } from './journal.ts';
import { ThreadMasks, tidOf } from './thread-masks.ts';

export interface CoresOptions {
  readonly locate: LocateServices;
  readonly method: 'auto' | AffinityMethod;
  /** Also where a kubelet manages the control group. */
  readonly force: boolean;
}

export interface CoresSessionParts extends CoresOptions {
  readonly tree: SysfsTree;
  readonly owners: CpuOwners;
  readonly clock: Clock;
  readonly foreignWriter: ForeignWriterResponse;
  readonly log: ActuatorLog;
  /** null where there is nothing to restore after us. */
  readonly journal: Journal | null;
}

/** To look for processes takes time for each one on the machine; for new threads, time for each thread of a service. */
const LOCATE_NS = BigInt(5 * NS_PER_S);
const LOOK_NS = BigInt(NS_PER_S);
/** So many originals, of threads that may have ended, gather at least before they are looked through. */
const MANY_RECORDS = 1000;

/** A service whose CPUs are governed. */
interface Member {
  place: ServicePlace;
  control: CpuControl;
  readonly masks: ThreadMasks;
  /** What the operator has given it: we never give more. null: nothing in particular. */
  readonly originalCpus: readonly CpuId[] | null;
  readonly budget: OverrideBudget;
  /** The list that was written last; null: none was. */
  written: string | null;
  lookedAtNs: bigint;
  /** Why the last write was refused, and when: it is tried again after a while, since a call of systemd is dear. */
  refusal: string | null;
  refusedAtNs: bigint;
}

/** The CPUs of services, from when the first of them is taken to when all are given back. */
export class CoresSession {
  readonly #parts: CoresSessionParts;
  readonly #members = new Map<string, Member>();
  readonly #refusals = new Map<string, string>();
  #records: ControlRecord[] = [];
  #shortenAt = MANY_RECORDS;
  #places: ReadonlyMap<string, ServicePlace> = new Map();
  #locatedAtNs: bigint | null = null;
  #online: string | null = null;

  constructor(parts: CoresSessionParts) {
    this.#parts = parts;
  }

  /** Every original that is to be put back. */
  get records(): readonly ControlRecord[] {
    return this.#records;
  }

  /** @returns what became of each service, and how many writes that took; null where the CPUs of none are or were governed */
  apply(point: OperatingPoint): { readonly cpus: readonly AppliedCpus[]; readonly writes: number } | null {
    const named = Object.entries(point.cpus);
    if (named.length === 0 && this.#members.size === 0) return null;
    if (named.length > 0) this.#locate();
    const online = this.#parts.tree.read('devices/system/cpu/online');
    const plugged = online.ok && online.value !== this.#online;
    if (online.ok) this.#online = online.value;
    let writes = 0;
    const cpus = named.map(([service, asked]): AppliedCpus => {
      const member = this.#members.get(service) ?? this.#join(service);
      if (typeof member === 'string') {
        return { service, method: null, askedCpus: asked, appliedCpus: null, outcome: 'refused', detail: member };
      }
      const { outcome, appliedCpus, detail, count } = this.#set(service, member, asked, plugged);
      writes += count;
      const { method } = member.control;
      return { service, method, askedCpus: asked, appliedCpus, outcome, ...(detail === null ? {} : { detail }) };
    });
    for (const [service, member] of this.#members) {
      if (service in point.cpus) continue;
      // Governed no longer: it has all that it had.
      const all = member.originalCpus ?? onlineCpus(this.#parts.tree) ?? [];
      if (member.written !== null) writes += this.#set(service, member, all, plugged).count;
    }
    return { cpus, writes };
  }

  /** Servers start and end; the processes of one that is governed are looked for again. */
  #locate(): void {
    const nowNs = this.#parts.clock.monotonicNs();
    if (this.#locatedAtNs !== null && nowNs - this.#locatedAtNs < LOCATE_NS) return;
    this.#locatedAtNs = nowNs;
    try {
      this.#places = this.#parts.locate();
    } catch (error) {
      this.#parts.log('warn', `look for the services’ processes: ${messageOf(error)}`);
      return;
    }
    for (const [service, member] of this.#members) {
      const place = this.#places.get(service);
      if (place === undefined || samePlace(place, member.place)) continue;
      const control = chooseControl(this.#parts, place);
      const goesOn = place.pids.length > 0 && !('refusal' in control) && control.method === member.control.method;
      if (goesOn && (control.method === 'threads' || control.name === member.control.name)) {
        Object.assign(member, { place, control, lookedAtNs: 0n });
      } else {
        // Ended, or started again elsewhere: taken anew. What is in the journal stays there.
        this.#members.delete(service);
      }
    }
  }

  /** @returns why not, where it cannot be governed */
  #join(service: string): Member | string {
    const place = this.#places.get(service) ?? { pids: [] };
    if (place.pids.length === 0) return this.#refuse(service, 'no process of it was found yet');
    const control = chooseControl(this.#parts, place);
    if ('refusal' in control) return this.#refuse(service, control.refusal);
    const { owners, foreignWriter, clock, log } = this.#parts;
    const masks = new ThreadMasks(owners.threads, control.method !== 'threads', (records) => this.#write(records));
    const had = control.effective();
    const read = control.original();
    const original = this.#records.find((record) => record.control === read?.control) ?? read;
    if (had === null || (original === null && control.method !== 'threads')) {
      return this.#refuse(service, `the original of ${control.name} cannot be read`);
    }
    try {
      if (original !== null && original === read) this.#write([original]);
      masks.look(control.pids(), had);
    } catch (error) {
      return this.#refuse(service, messageOf(error));
    }
    const list = original === null ? [] : (parseCpuList(original.original) ?? []);
    const originalCpus = list.length === 0 ? null : list;
    const member: Member = {
      ...{ place, control, masks, originalCpus },
      ...{
        budget: new OverrideBudget(foreignWriter, clock),
        written: null,
        lookedAtNs: 0n,
        refusal: null,
        refusedAtNs: 0n,
      },
    };
    this.#members.set(service, member);
    this.#refusals.delete(service);
    log('info', `governing the CPUs of ${service} by ${control.name} (${control.method})`);
    return member;
  }

  #write(records: readonly ControlRecord[]): void {
    if (records.length === 0) return;
    this.#parts.journal?.append(records);
    this.#records.push(...records);
    if (this.#records.length >= this.#shortenAt) this.#forgetEndedThreads();
  }

  /** A service may start a thread for every request, and each leaves an original behind. */
  #forgetEndedThreads(): void {
    const { owners, journal, log } = this.#parts;
    const isOver = ({ kind, control, startTicks }: ControlRecord) =>
      kind === 'thread' && owners.threads.startOf(tidOf(control)) !== startTicks;
    try {
      journal?.shorten(isOver);
      this.#records = this.#records.filter((record) => !isOver(record));
    } catch (error) {
      log('warn', `forget threads that have ended: ${messageOf(error)}`);
    }
    this.#shortenAt = Math.max(MANY_RECORDS, 2 * this.#records.length);
  }

  /** Said once for each reason. */
  #refuse(service: string, why: string): string {
    if (this.#refusals.get(service) !== why) this.#parts.log('warn', `the CPUs of ${service} are not governed: ${why}`);
    this.#refusals.set(service, why);
    return why;
  }

  #set(service: string, member: Member, asked: readonly CpuId[], plugged: boolean) {
    const { control, masks, originalCpus } = member;
    const wanted = originalCpus === null ? asked : asked.filter((cpu) => originalCpus.includes(cpu));
    const nowNs = this.#parts.clock.monotonicNs();
    const list = formatCpuList(wanted);
    const had = formatCpuList(originalCpus ?? []);
    const answer = (outcome: WriteOutcome, count: number, detail: string | null) => {
      return { outcome, appliedCpus: control.effective(), detail, count };
    };
    if (wanted.length === 0) {
      return answer('refused', 0, `CPUs ${formatCpuList(asked)} are none of those that it had, ${had}`);
    }
    const narrowed = wanted.length === asked.length ? null : `it had CPUs ${had} alone`;
    const look = plugged || nowNs - member.lookedAtNs >= LOOK_NS;
    if (list === member.written && !look) return answer(narrowed === null ? 'unchanged' : 'clamped', 0, narrowed);
    if (member.refusal !== null && !plugged && nowNs - member.refusedAtNs < LOCATE_NS) {
      return answer('refused', 0, member.refusal);
    }
    member.lookedAtNs = nowNs;
    const foreign = list === member.written && !plugged ? this.#foreign(service, member, wanted) : null;
    if (foreign === 'yield') return answer('yielded', 0, `somebody else writes ${control.name}: they are let have it`);
    let count = 0;
    try {
      masks.look(control.pids(), control.effective() ?? wanted);
    } catch (error) {
      return answer('refused', count, messageOf(error));
    }
    if (list !== member.written || foreign !== null || plugged) {
      const complaint = control.write(wanted);
      if (complaint !== null) {
        const refusal = `write ${list}: ${complaint}`;
        if (member.refusal !== refusal) this.#parts.log('warn', `${control.name}: ${refusal}`);
        Object.assign(member, { refusal, refusedAtNs: nowNs, written: null });
        return answer('refused', count, refusal);
      }
      count += 1;
      member.refusal = null;
      member.written = list;
    }
    count += masks.set(wanted);
    const applied = answer('applied', count, narrowed);
    const same = applied.appliedCpus !== null && formatCpuList(applied.appliedCpus) === list;
    if (!same) {
      const reads = applied.appliedCpus === null ? 'nothing' : formatCpuList(applied.appliedCpus);
      return { ...applied, outcome: 'clamped' as const, detail: `wrote ${list}, runs on ${reads}` };
    }
    return narrowed === null ? applied : { ...applied, outcome: 'clamped' as const };
  }

  /** Reads otherwise than we wrote: they are let have it, or it is written again. */
  #foreign(service: string, member: Member, wanted: readonly CpuId[]): 'yield' | 'override' | null {
    const reads = member.control.effective();
    const online = onlineCpus(this.#parts.tree) ?? wanted;
    const expected = formatCpuList(wanted.filter((cpu) => online.includes(cpu)));
    if (reads === null || formatCpuList(reads) === expected || member.control.method === 'threads') return null;
    const response = member.budget.spend() ? 'override' : 'yield';
    const what = `the CPUs of ${service} read ${formatCpuList(reads)}, wrote ${expected}`;
    this.#parts.log('warn', `${what}: ${response === 'override' ? 'written again' : 'left alone for a while'}`);
    return response;
  }
}

function samePlace(a: ServicePlace, b: ServicePlace): boolean {
  const pids = (place: ServicePlace) => [...place.pids].sort((one, other) => one - other).join();
  return a.unit === b.unit && a.cgroup === b.cgroup && pids(a) === pids(b);
}
