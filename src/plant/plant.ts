import type { AlarmCounts } from '../core/alarm-budget.ts';
import { ALARM_BITS } from './alarms.ts';
import { type ArrivalSource, NOBODY, createArrivalSource } from './arrivals.ts';
import type { SampleStream } from './distribution.ts';
import { EnergyMeter } from './energy-meter.ts';
import { EventTree } from './event-tree.ts';
import type { Random } from './random.ts';
import { RequestQueue } from './request-queue.ts';
import { connectionsOf, demandsOf, workerOf } from './requests.ts';
import { type ServerModel, idleStatesOf } from './server-model.ts';
import { type ServiceModel, slowdownAt } from './service-model.ts';
import { ServiceRecorder, type ServiceWindow } from './service-recorder.ts';

/** A request that has been served. Times in simulated ns; `core` by its place in the machine's list of CPUs. */
export type CompletionObserver = (
  service: number,
  arrivalNs: number,
  startNs: number,
  completionNs: number,
  core: number,
) => void;

export interface PlantOptions {
  readonly server: ServerModel;
  readonly services: readonly ServiceModel[];
  /** Any safe integer. Equal seeds bring equal requests, whatever the machine does with them. */
  readonly seed: number;
  /** Sees every request leave. Costs time: for tests and recordings. */
  readonly onCompletion?: CompletionObserver;
}

/** In place of a service, a core or a connection. */
const NONE = -1;

/**
 * The simulated server: a discrete-event model of cores that serve requests. Requests live as numbers in arrays; an event
 * allocates nothing, and memory does not grow with simulated time. Services and cores go by their index here.
 *
 * A core serves one request at a time to its end. What is frequency-bound in a request is spread evenly through it, so a
 * change of frequency in the middle stretches or shortens what is left of it.
 *
 * Speed decides on two oddities of the classes that the event loop touches. Fields are `declare`d where the constructor sets
 * them: a class field that is undefined first made every access to its object twice as slow on Node 20. And what crosses a
 * call is a whole number, an index: V8 allocates a fraction wherever it does not inline the call.
 */
export class Plant {
  declare private readonly server: ServerModel;
  declare private readonly services: readonly ServiceModel[];
  declare private readonly cores: number;
  declare private readonly onCompletion: CompletionObserver | undefined;
  /** Simulated time in its only element, shared with the meter: a number in a field or an argument would often be allocated. */
  private readonly clock = new Float64Array(1);

  /** By core. */
  declare private readonly completions: EventTree;
  /** By service. */
  declare private readonly due: EventTree;
  /** By frequency domain. */
  declare private readonly changes: EventTree;

  declare private readonly sources: readonly ArrivalSource[];
  declare private readonly demands: readonly SampleStream[];
  /** 0 for a central queue. */
  declare private readonly connectionCounts: Int32Array;
  declare private readonly connections: readonly Random[];
  declare private readonly recorders: readonly ServiceRecorder[];
  /** By service × core: where a request for that core waits. All cores of a service with a central queue share one. */
  declare private readonly queues: readonly RequestQueue[];
  /** By service: each of its queues once. */
  declare private readonly ownQueues: readonly (readonly RequestQueue[])[];
  /** By service × core: 1 where the service may use the core. */
  declare private readonly granted: Uint8Array;
  /** The same as bits, 32 cores a word, service by service; and the cores that serve nothing. */
  declare private readonly grantMask: Int32Array;
  declare private readonly freeMask: Int32Array;
  declare private readonly grantLists: (readonly number[])[];
  /** By service × core: time per unit of demand at the core's present frequency. */
  declare private readonly slowdown: Float64Array;
  /** By service × core: core time spent on requests that have completed. */
  declare private readonly servedNs: Float64Array;

  /** By core: what it is serving. */
  declare private readonly servingService: Int32Array;
  declare private readonly servingConnection: Int32Array;
  declare private readonly servingArrivalNs: Float64Array;
  /** When its first instruction runs; ahead of now while the core wakes up. */
  declare private readonly servingStartNs: Float64Array;
  /** How long it will wait for others once it leaves the core. */
  declare private readonly servingOffCoreNs: Float64Array;
  /** By service. */
  declare private readonly offCoreRatios: Float64Array;

  /** By idle state. */
  declare private readonly wakeNs: Float64Array;
  declare private readonly meter: EnergyMeter;
  declare private readonly domainCores: readonly (readonly number[])[];
  /** What demands are stated at. */
  declare private readonly highestKhz: number;
  declare private readonly frequenciesKhz: Float64Array;
  declare private readonly pendingKhz: Float64Array;
  private changeCount = 0;

  /** By service: what raises an alarm; the kinds that may (ALARM_BITS); those that were, and have not been taken. */
  declare private readonly lateBudgets: Float64Array;
  declare private readonly waitBudgetsNs: Float64Array;
  /** How many have to wait for longer than that, and how many more of them. */
  declare private readonly waitingBudgets: Float64Array;
  declare private readonly waitingLeft: Float64Array;
  declare private readonly armed: Int32Array;
  declare private readonly raised: Int32Array;
  private anyRaised = false;

  /** @throws RangeError when the models contradict themselves or the machine */
  constructor({ server, services, seed, onCompletion }: PlantOptions) {
    const { cpus, domains } = server.machine;
    const cores = cpus.length;
    this.server = server;
    this.services = services;
    this.cores = cores;
    this.onCompletion = onCompletion;
    this.completions = new EventTree(cores);
    this.due = new EventTree(services.length);
    this.changes = new EventTree(domains.length);

    this.sources = services.map(({ arrivals, trace, name }) => createArrivalSource(arrivals, trace, seed, name));
    this.demands = services.map((service) => demandsOf(service, seed));
    this.connectionCounts = Int32Array.from(services, ({ dispatch }) =>
      dispatch.kind === 'central' ? 0 : dispatch.connections,
    );
    this.connections = services.map((service) => connectionsOf(service, seed));
    this.recorders = services.map(({ sloLatencyNs }) => new ServiceRecorder(sloLatencyNs));
    this.ownQueues = services.map(({ dispatch }) =>
      Array.from({ length: dispatch.kind === 'central' ? 1 : cores }, () => new RequestQueue()),
    );
    this.queues = this.ownQueues.flatMap((own) => cpus.map((_, core) => own[core % own.length]!));
    this.granted = new Uint8Array(services.length * cores);
    this.freeMask = new Int32Array(Math.ceil(cores / 32));
    this.grantMask = new Int32Array(services.length * this.freeMask.length);
    for (let core = 0; core < cores; core++) this.freeMask[core >> 5]! |= 1 << (core & 31);
    this.grantLists = services.map(() => []);
    this.slowdown = new Float64Array(services.length * cores);
    this.servedNs = new Float64Array(services.length * cores);

    this.servingService = new Int32Array(cores).fill(NONE);
    this.servingConnection = new Int32Array(cores);
    this.servingArrivalNs = new Float64Array(cores);
    this.servingStartNs = new Float64Array(cores);
    this.servingOffCoreNs = new Float64Array(cores);
    this.offCoreRatios = Float64Array.from(services, ({ offCoreRatio }) => offCoreRatio ?? 0);

    this.wakeNs = Float64Array.from(idleStatesOf(server), ({ wakeNs }) => wakeNs);
    this.meter = new EnergyMeter(server, this.clock);
    this.domainCores = domains.map((domain) => domain.cpus.map((cpu) => cpus.indexOf(cpu)));
    this.highestKhz = Math.max(...domains.map(({ maxKhz }) => maxKhz));
    this.frequenciesKhz = new Float64Array(domains.length);
    this.pendingKhz = new Float64Array(domains.length);
    domains.forEach((domain, index) => this.runAt(index, domain.allowedMaxKhz));
    this.lateBudgets = new Float64Array(services.length);
    this.waitBudgetsNs = new Float64Array(services.length);
    this.waitingBudgets = new Float64Array(services.length);
    this.waitingLeft = new Float64Array(services.length);
    this.armed = new Int32Array(services.length);
    this.raised = new Int32Array(services.length);
    services.forEach((service, index) => {
      const allowed = service.cpus ?? cpus;
      this.grant(
        index,
        allowed.map((cpu) => cpus.indexOf(cpu)),
      );
      this.due.timesNs[index] = this.sources[index]!.nextNs;
      this.due.update(index);
    });
  }

  get nowNs(): number {
    return this.clock[0]!;
  }

  /** How often a domain's frequency has really changed. */
  get transitions(): number {
    return this.changeCount;
  }

  /** Energy of the package since the start. */
  get joules(): number {
    return this.meter.joules;
  }

  /** The frequency that the domain runs at now, which is the one asked for only after the transition latency. */
  frequencyKhz(domain: number): number {
    return this.frequenciesKhz[domain]!;
  }

  grantedCores(service: number): readonly number[] {
    return this.grantLists[service]!;
  }

  /**
   * Runs every event up to and including `untilNs`, or the one that raises an alarm where it is to stop there.
   * @throws RangeError when `untilNs` is in the past or no time
   */
  advanceTo(untilNs: number, stopsAtAlarm = false): void {
    if (!(untilNs >= this.nowNs && untilNs <= Number.MAX_SAFE_INTEGER)) {
      throw new RangeError(`cannot advance from ${this.nowNs} ns to ${untilNs} ns`);
    }
    for (;;) {
      const completionNs = this.completions.nextNs;
      const arrivalNs = this.due.nextNs;
      const changeNs = this.changes.nextNs;
      const atNs = Math.min(completionNs, arrivalNs, changeNs);
      if (atNs > untilNs) break;
      this.clock[0] = atNs;
      // What falls together happens in this order: a core that falls free can take what arrives at the same instant.
      if (completionNs === atNs) this.complete(this.completions.next);
      else if (changeNs === atNs) this.change(this.changes.next);
      else this.arrive(this.due.next);
      if (stopsAtAlarm && this.anyRaised) return;
    }
    this.clock[0] = untilNs;
  }

  /** From now on each of these kinds (ALARM_BITS) may be raised once. */
  arm(service: number, { late, waiting }: AlarmCounts, waitBudgetNs: number, kinds: number): void {
    this.lateBudgets[service] = late;
    this.waitBudgetsNs[service] = waitBudgetNs;
    this.waitingBudgets[service] = waiting;
    this.waitingLeft[service] = waiting;
    this.armed[service] = kinds;
    this.recorders[service]!.lateSinceArmed = 0;
  }

  /** `waiting` may be raised once more, by the budget that it was armed with. */
  rearm(service: number): void {
    this.waitingLeft[service] = this.waitingBudgets[service]!;
    this.armed[service]! |= ALARM_BITS.waiting;
  }

  /** The kinds of alarm that were raised for the service since the last call. */
  takeAlarms(service: number): number {
    const kinds = this.raised[service]!;
    this.raised[service] = 0;
    this.anyRaised = this.raised.some((others) => others !== 0);
    return kinds;
  }

  /** The domain runs at `frequencyKhz` after the transition latency; a newer request replaces one under way. */
  requestFrequency(domain: number, frequencyKhz: number): void {
    const underWay = this.changes.timesNs[domain]! !== Infinity;
    const targetKhz = underWay ? this.pendingKhz[domain] : this.frequenciesKhz[domain];
    if (frequencyKhz === targetKhz) return;
    this.pendingKhz[domain] = frequencyKhz;
    this.changes.timesNs[domain] = this.nowNs + this.server.transitionLatencyNs;
    this.changes.update(domain);
  }

  /**
   * The service may use these cores from now on. A core that is taken away finishes the request that it serves; what waits
   * for it moves, in order of arrival. @throws RangeError for an empty list or a core that is not there
   */
  grant(service: number, cores: readonly number[]): void {
    if (cores.length === 0 || cores.some((core) => !(core >= 0 && core < this.cores))) {
      throw new RangeError(`cannot grant service ${this.services[service]!.name} the cores [${cores.join(', ')}]`);
    }
    const list = [...new Set(cores)].sort((a, b) => a - b);
    if (list.join() === this.grantLists[service]!.join()) return;
    this.grantLists[service] = list;
    const words = this.freeMask.length;
    this.granted.fill(0, service * this.cores, (service + 1) * this.cores);
    this.grantMask.fill(0, service * words, (service + 1) * words);
    for (const core of cores) {
      this.granted[service * this.cores + core] = 1;
      this.grantMask[service * words + (core >> 5)]! |= 1 << (core & 31);
    }
    if (this.services[service]!.dispatch.kind === 'connection-hash') this.rehash(service);
    for (const core of cores) {
      if (this.servingService[core] === NONE) this.serveNext(core);
    }
  }

  /** What the service has done since the last call. */
  takeWindow(service: number): ServiceWindow {
    return this.recorders[service]!.takeWindow();
  }

  /** Requests that have arrived and not left. */
  inFlight(service: number): number {
    let count = 0;
    for (const queue of this.ownQueues[service]!) count += queue.size;
    for (let core = 0; core < this.cores; core++) if (this.servingService[core] === service) count++;
    return count;
  }

  /** When the oldest request in flight arrived; Infinity when there is none. */
  oldestArrivalNs(service: number): number {
    let oldestNs = Infinity;
    for (const queue of this.ownQueues[service]!) oldestNs = Math.min(oldestNs, queue.headArrivalNs);
    for (let core = 0; core < this.cores; core++) {
      if (this.servingService[core] === service) oldestNs = Math.min(oldestNs, this.servingArrivalNs[core]!);
    }
    return oldestNs;
  }

  /** Time that the service has held the core since the start, the request under way included. */
  busyNs(service: number, core: number): number {
    const underWayNs = this.servingService[core] === service ? Math.max(0, this.nowNs - this.servingStartNs[core]!) : 0;
    return this.servedNs[service * this.cores + core]! + underWayNs;
  }

  /** When the request that the core serves for this service arrived; Infinity when it serves none. */
  servingArrivalOf(service: number, core: number): number {
    return this.servingService[core] === service ? this.servingArrivalNs[core]! : Infinity;
  }

  /** When the core began, or once awake begins, what it serves now or served last. */
  servingStartOf(core: number): number {
    return this.servingStartNs[core]!;
  }

  /** What waits for this core, or for any where the queue is central. To look at, not to change. */
  waiting(service: number, core: number): Pick<RequestQueue, 'size' | 'arrivalNsAt'> {
    return this.queues[service * this.cores + core]!;
  }

  private arrive(service: number): void {
    const source = this.sources[service]!;
    const client = source.take();
    this.due.timesNs[service] = source.nextNs;
    this.due.update(service);
    this.recorders[service]!.arrived();
    if ((this.armed[service]! & ALARM_BITS['arrival-after-idle']) !== 0) {
      this.raise(service, ALARM_BITS['arrival-after-idle']);
    }
    const connections = this.connectionCounts[service]!;
    if (connections === 0) {
      this.queues[service * this.cores]!.push(this.nowNs, this.demands[service]!.next(), client);
      const core = this.freeCore(service);
      if (core !== NONE) this.serveNext(core);
    } else {
      const connection = client === NOBODY ? this.connections[service]!.nextUint32() % connections : client;
      const core = this.homeOf(service, connection);
      this.queues[service * this.cores + core]!.push(this.nowNs, this.demands[service]!.next(), connection);
      if (this.servingService[core] === NONE) this.serveNext(core);
    }
  }

  /** The first free core by number: work packs on few cores, and the rest sleep deeply. */
  private freeCore(service: number): number {
    const words = this.freeMask.length;
    for (let word = 0; word < words; word++) {
      const usable = this.freeMask[word]! & this.grantMask[service * words + word]!;
      if (usable !== 0) return 32 * word + 31 - Math.clz32(usable & -usable);
    }
    return NONE;
  }

  private homeOf(service: number, connection: number): number {
    const granted = this.grantLists[service]!;
    // The workers share the CPUs that are granted.
    return granted[workerOf(connection, this.cores) % granted.length]!;
  }

  private complete(core: number): void {
    const service = this.servingService[core]!;
    const startNs = this.servingStartNs[core]!;
    const arrivalNs = this.servingArrivalNs[core]!;
    const handlingTimeNs = this.nowNs - startNs;
    const offCoreNs = this.servingOffCoreNs[core]!;
    const recorder = this.recorders[service]!;
    recorder.completed(startNs - arrivalNs, handlingTimeNs + offCoreNs);
    if ((this.armed[service]! & ALARM_BITS.late) !== 0 && recorder.lateSinceArmed >= this.lateBudgets[service]!) {
      this.raise(service, ALARM_BITS.late);
    }
    this.servedNs[service * this.cores + core]! += handlingTimeNs;
    this.onCompletion?.(service, arrivalNs, startNs, this.nowNs + offCoreNs, core);
    const connection = this.servingConnection[core]!;
    if (connection !== NOBODY) {
      const source = this.sources[service]!;
      source.replied(connection, this.nowNs + offCoreNs);
      this.due.timesNs[service] = source.nextNs;
      this.due.update(service);
    }
    this.serveNext(core);
  }

  /** A core that is free takes the oldest request that it may serve, or rests. */
  private serveNext(core: number): void {
    const wasIdle = this.servingService[core] === NONE;
    let oldestNs = Infinity;
    let service = NONE;
    for (let candidate = 0; candidate < this.services.length; candidate++) {
      const candidateAt = candidate * this.cores + core;
      if (this.granted[candidateAt] === 0) continue;
      const arrivalNs = this.queues[candidateAt]!.headArrivalNs;
      if (arrivalNs < oldestNs) {
        oldestNs = arrivalNs;
        service = candidate;
      }
    }
    if (service === NONE) {
      if (!wasIdle) this.rest(core);
      return;
    }
    const at = service * this.cores + core;
    const queue = this.queues[at]!;
    let startNs = this.clock[0]!;
    if (wasIdle) {
      this.freeMask[core >> 5]! &= ~(1 << (core & 31));
      startNs += this.wakeNs[this.meter.wake(core)]!;
    }
    this.servingService[core] = service;
    this.servingConnection[core] = queue.headConnection;
    this.servingArrivalNs[core] = oldestNs;
    this.servingStartNs[core] = startNs;
    const waits =
      (this.armed[service]! & ALARM_BITS.waiting) !== 0 && startNs - oldestNs > this.waitBudgetsNs[service]!;
    if (waits && --this.waitingLeft[service]! <= 0) this.raise(service, ALARM_BITS.waiting);
    this.servingOffCoreNs[core] = queue.headDemandNs * this.offCoreRatios[service]!;
    this.completions.timesNs[core] = startNs + queue.headDemandNs * this.slowdown[at]!;
    this.completions.update(core);
    queue.shift();
  }

  /** Once, until it is armed again: as the kernel's probes do. */
  private raise(service: number, kind: number): void {
    this.armed[service]! &= ~kind;
    this.raised[service]! |= kind;
    this.anyRaised = true;
  }

  private rest(core: number): void {
    this.servingService[core] = NONE;
    this.freeMask[core >> 5]! |= 1 << (core & 31);
    this.completions.timesNs[core] = Infinity;
    this.completions.update(core);
    this.meter.sleep(core);
  }

  /** Everything that waits goes to the core that its connection now belongs to. */
  private rehash(service: number): void {
    const waiting: { arrivalNs: number; demandNs: number; connection: number }[] = [];
    for (const queue of this.ownQueues[service]!) {
      for (; queue.size > 0; queue.shift()) {
        waiting.push({
          arrivalNs: queue.headArrivalNs,
          demandNs: queue.headDemandNs,
          connection: queue.headConnection,
        });
      }
    }
    waiting.sort((a, b) => a.arrivalNs - b.arrivalNs);
    for (const { arrivalNs, demandNs, connection } of waiting) {
      this.queues[service * this.cores + this.homeOf(service, connection)]!.push(arrivalNs, demandNs, connection);
    }
  }

  private change(domain: number): void {
    this.changes.timesNs[domain] = Infinity;
    this.changes.update(domain);
    if (this.pendingKhz[domain] === this.frequenciesKhz[domain]) return;
    this.changeCount++;
    this.runAt(domain, this.pendingKhz[domain]!);
  }

  private runAt(domain: number, frequencyKhz: number): void {
    this.frequenciesKhz[domain] = frequencyKhz;
    for (const core of this.domainCores[domain]!) {
      this.meter.setFrequency(core, frequencyKhz);
      const serving = this.servingService[core]!;
      const aheadNs = serving === NONE ? 0 : Math.max(this.nowNs, this.servingStartNs[core]!);
      const leftNs =
        serving === NONE
          ? 0
          : (this.completions.timesNs[core]! - aheadNs) / this.slowdown[serving * this.cores + core]!;
      this.services.forEach(({ frequencyBoundRatio }, service) => {
        this.slowdown[service * this.cores + core] = slowdownAt(frequencyKhz, this.highestKhz, frequencyBoundRatio);
      });
      if (serving !== NONE) {
        this.completions.timesNs[core] = aheadNs + leftNs * this.slowdown[serving * this.cores + core]!;
        this.completions.update(core);
      }
    }
  }
}
