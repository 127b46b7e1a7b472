import { isDeepStrictEqual } from 'node:util';
import type { Actuator, Applied, OnExit, RestoredControl } from '../core/actuator.ts';
import type { Clock } from '../core/clock.ts';
import { type Level, type Observation, SOONEST_AGAIN_MS } from '../core/controller.ts';
import { messageOf } from '../core/errors.ts';
import { Histogram } from '../core/histogram.ts';
import type { OperatingPoint } from '../core/machine.ts';
import type { LevelRequest, Planner } from '../core/planner.ts';
import type { Alarm, Sensor, Snapshot } from '../core/sensor.ts';
import { summarizeSnapshot } from '../core/snapshot-summary.ts';
import type { AlarmReport, Compliance, LoopMode, ServiceReport, TickReport } from '../core/tick-report.ts';
import { NS_PER_MS, NS_PER_S } from '../core/units.ts';
import { ComplianceWindow } from './compliance-window.ts';
import type { GovernedService, Law } from './law.ts';
import { ObservationWindow } from './observation-window.ts';
import { RailedLaw, type RailedStep } from './rails.ts';

export type { GovernedService } from './law.ts';

export interface LoopParts {
  readonly services: readonly GovernedService[];
  readonly sensor: Sensor;
  readonly planner: Planner;
  readonly actuator: Actuator;
  readonly clock: Clock;
  readonly mode: LoopMode;
}

/** What may be exchanged between two ticks. */
export type LoopChange = Pick<LoopParts, 'services' | 'sensor' | 'planner'>;

/** What the loop remembers of a service from tick to tick. */
interface Seat {
  readonly service: GovernedService;
  readonly window: ObservationWindow;
  readonly compliance: ComplianceWindow;
  railed: RailedLaw;
  /** The last step's outcome, kept between steps when ticks are more frequent than the policy's interval. */
  step: Pick<RailedStep, 'askedLevel' | 'level' | 'reason' | 'rests'>;
  steppedAtNs: bigint;
  /** The last step that came by the clock: an alarm in between does not put off the next one. */
  cameDueNs: bigint;
  /** A law that has just taken over is asked at the next tick, whatever its interval. */
  fresh: boolean;
  /** When to step before the next one that comes by the clock, as the law asked; null where it did not. */
  againNs: bigint | null;
}

/** The first of them arms the alarm of a request, the second has looked whether one came before that. */
const QUIET_TICKS = 2;

/** Ticks come in on time within this share of an interval; a policy's step is not put off by a tick that is a bit early. */
const EARLY_SHARE = 0.1;

/**
 * One tick: sense, decide, plan, apply, report. Sees interfaces only, so that the same loop runs on a machine, in dry run
 * and on a simulated plant.
 */
export class GovernorLoop {
  #parts: LoopParts;
  #seats: readonly Seat[];
  #tick = 0;
  #snapshots: readonly Snapshot[] = [];
  #paused = false;
  #overrun = false;
  /** What the machine is at. */
  #point: OperatingPoint;
  #appliedLevels: Readonly<Record<string, Level>>;
  /** What the point and the levels were taken from. */
  #applied: Applied | undefined;
  /** Ticks in a row that came by the clock and in which all was quiet. */
  #quietTicks = 0;

  constructor(parts: LoopParts) {
    this.#parts = parts;
    this.#point = parts.planner.full;
    this.#appliedLevels = this.#levelsOf(this.#point);
    this.#seats = parts.services.map((service) => this.#seatOf(service, undefined));
  }

  /** The shortest interval of the policies in force: how often to tick. */
  get intervalMs(): number {
    return Math.min(...this.#seats.map(({ railed }) => railed.law.intervalMs));
  }

  /** What the sensor saw in the last tick, in the order of its report's services, with the histograms that a report leaves out. */
  get snapshots(): readonly Snapshot[] {
    return this.#snapshots;
  }

  /** The level that a service is at; the predicting sensor asks this. */
  levelOf(service: string): Level {
    return this.#appliedLevels[service] ?? 1;
  }

  /** Whether an alarm of the service can be answered with a higher level: at the highest there is nothing to hurry for. */
  canRise(name: string): boolean {
    const seat = this.#seats.find(({ service }) => service.name === name);
    return !this.#paused && seat !== undefined && seat.step.level < seat.railed.law.limits.max;
  }

  /**
   * Nothing comes, no law would answer anything else, and nothing is to be done for the machine: until an alarm tells of a
   * request, or the loop is changed, to tick at every interval is of no use.
   */
  get resting(): boolean {
    if (this.#paused || this.#overrun || this.#parts.sensor.alarms === undefined) return false;
    return this.#quietTicks >= QUIET_TICKS && this.#seats.every(({ fresh }) => !fresh);
  }

  /** When to tick early, without an alarm, as a law has asked for; null where none has. */
  get againNs(): bigint | null {
    const times = this.#seats.flatMap(({ againNs }) => (againNs === null ? [] : [againNs]));
    return times.length === 0 ? null : times.reduce((first, other) => (other < first ? other : first));
  }

  /**
   * Between two ticks: other services, laws, objectives, and what goes with them. What is not changed goes on as if nothing
   * had happened: a law that is the same object keeps its state, and a service whose objective stays what it has observed.
   * Another law takes over from the level that the machine is at.
   */
  change(change: LoopChange): void {
    this.#parts = { ...this.#parts, ...change };
    this.#quietTicks = 0;
    this.#applied = undefined;
    this.#appliedLevels = this.#levelsOf(this.#point);
    const before = new Map(this.#seats.map((seat) => [seat.service.name, seat]));
    this.#seats = change.services.map((service) => this.#seatOf(service, before.get(service.name)));
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Full speed at once, whatever the controllers say, until `resume`. */
  pause(): void {
    this.#paused = true;
    this.#apply(this.#parts.planner.full);
  }

  /** Controllers take over again from full speed. */
  resume(): void {
    this.#paused = false;
    this.#startAfresh();
  }

  /**
   * Whether ticks come too late for what is decided in them. From the next tick on every service has the highest level that
   * its policy allows, and no controller is asked; afterwards they take over from there.
   */
  overrun(overrun: boolean): void {
    if (this.#overrun && !overrun) this.#startAfresh();
    this.#overrun = overrun;
  }

  #startAfresh(): void {
    for (const seat of this.#seats) {
      seat.railed.restart(this.levelOf(seat.service.name));
      seat.fresh = true;
    }
  }

  engage(): void {
    this.#parts.actuator.engage();
  }

  release(onExit: OnExit): readonly RestoredControl[] {
    return this.#parts.actuator.release(onExit);
  }

  /**
   * @param dueNs when this tick was to begin
   * @param alarms what woke us before the tick; a service with an alarm is stepped at once
   * @param early not by the clock: only alarms are answered and laws asked that asked for it, and the sensor leaves out what can wait
   */
  tick(dueNs: bigint, alarms: readonly Alarm[] = [], early = alarms.length > 0): TickReport {
    const { clock, planner, mode } = this.#parts;
    const beganNs = clock.monotonicNs();
    const faults: string[] = [];
    // A look that a law asked for finds out what came of an alarm: a queue that grows from now on is news again.
    const snapshots = this.#sense(early, early && alarms.length === 0, faults);
    const alarmed = new Set(alarms.map((alarm) => alarm.target));

    const reports = this.#seats.map((seat) => {
      const { name } = seat.service;
      this.#followSchedule(seat);
      const snapshot = snapshots.get(name) ?? this.#silence(name, beganNs);
      const observation = seat.window.observe(snapshot, alarmed.has(name));
      const windowMs = snapshot.windowNs / NS_PER_MS;
      const compliance = seat.compliance.add(windowMs, snapshot.requests, snapshot.overSlo);
      this.#decide(seat, observation, beganNs, early, faults);
      return { seat, snapshot, observation, compliance };
    });

    const asked = this.#paused
      ? planner.full
      : planner.plan(
          reports.map(({ seat, observation }) => this.#request(seat, observation)),
          this.#point,
        ).point;
    const applied = this.#apply(asked);
    const appliedNs = clock.monotonicNs();
    this.#snapshots = reports.map(({ snapshot }) => snapshot);

    const services = reports.map((report) => this.#report(report));
    const alarmReports = alarms.map(({ target, kind, atNs }): AlarmReport => {
      return { target, kind, answeredMs: Number(appliedNs - atNs) / NS_PER_MS };
    });

    const quiet =
      !early &&
      faults.length === 0 &&
      applied.writes === 0 &&
      reports.every(({ seat, snapshot }) => isQuiet(seat, snapshot));
    this.#quietTicks = quiet ? this.#quietTicks + 1 : 0;

    return {
      tick: this.#tick++,
      atMs: Number(beganNs) / NS_PER_MS,
      lateMs: Number(beganNs - dueNs) / NS_PER_MS,
      tookMs: Number(clock.monotonicNs() - beganNs) / NS_PER_MS,
      mode,
      predicted: mode === 'dry-run',
      paused: this.#paused,
      faults,
      services,
      asked,
      applied,
      ...(alarmReports.length === 0 ? {} : { alarms: alarmReports }),
    };
  }

  /** A sensor that fails is silence for every service: the controllers know what to do then. */
  #sense(urgent: boolean, rearm: boolean, faults: string[]): ReadonlyMap<string, Snapshot> {
    try {
      return new Map(this.#parts.sensor.read(urgent, rearm).map((snapshot) => [snapshot.target, snapshot]));
    } catch (error) {
      faults.push(`sensor read failed: ${messageOf(error)}`);
      return new Map();
    }
  }

  #silence(target: string, atNs: bigint): Snapshot {
    return silence(target, this.#parts.sensor, atNs, this.intervalMs * NS_PER_MS);
  }

  /** @param before the seat of the same name, which the service takes over */
  #seatOf(service: GovernedService, before: Seat | undefined): Seat {
    const level = this.levelOf(service.name);
    const law = this.#lawOf(service);
    if (before === undefined) {
      return {
        service,
        window: new ObservationWindow(service.slo),
        compliance: new ComplianceWindow(service.slo),
        railed: new RailedLaw(law, level),
        step: { askedLevel: level, level, reason: 'starting at the level that the machine is at' },
        steppedAtNs: this.#parts.clock.monotonicNs(),
        cameDueNs: this.#parts.clock.monotonicNs(),
        fresh: true,
        againNs: null,
      };
    }
    const sameSlo = isDeepStrictEqual(service.slo, before.service.slo);
    const seat: Seat = {
      ...before,
      service,
      window: sameSlo ? before.window : new ObservationWindow(service.slo),
      compliance: sameSlo ? before.compliance : new ComplianceWindow(service.slo),
    };
    this.#govern(seat, law);
    return seat;
  }

  #lawOf(service: GovernedService): Law {
    return service.lawAt?.(this.#parts.clock.wallMs()) ?? service;
  }

  #followSchedule(seat: Seat): void {
    if (seat.service.lawAt !== undefined) this.#govern(seat, this.#lawOf(seat.service));
  }

  #govern(seat: Seat, law: Law): void {
    if (law === seat.railed.law) return;
    seat.railed = seat.railed.continuedBy(law, this.levelOf(seat.service.name));
    seat.fresh = true;
  }

  #decide(seat: Seat, observation: Observation, nowNs: bigint, early: boolean, faults: string[]): void {
    const { service, railed } = seat;
    const again = seat.againNs !== null && nowNs >= seat.againNs;
    if (this.#paused || this.#overrun) {
      seat.againNs = null;
      seat.window.stepped();
    }
    if (this.#overrun) {
      const { max } = railed.law.limits;
      seat.step = { askedLevel: max, level: max, reason: 'the loop cannot keep time: the highest level allowed' };
      return;
    }
    const elapsedMs = Number(nowNs - seat.steppedAtNs) / NS_PER_MS;
    const sinceDueMs = Number(nowNs - seat.cameDueNs) / NS_PER_MS;
    const due = seat.fresh || (!early && sinceDueMs >= railed.law.intervalMs * (1 - EARLY_SHARE));
    if (!(due || again || observation.alarmed) || this.#paused) return;
    const step = railed.step({ slo: service.slo, observation, elapsedMs, appliedLevel: this.levelOf(service.name) });
    seat.step = step;
    seat.steppedAtNs = nowNs;
    seat.window.stepped();
    if (due) seat.cameDueNs = nowNs;
    seat.fresh = false;
    seat.againNs = againAt(nowNs, step.againMs);
    if (step.fault !== undefined) faults.push(`${service.name}: ${step.fault}`);
  }

  #request({ service: { name }, step }: Seat, { demandNs, throughputRps }: Observation): LevelRequest {
    const { cpus } = this.#parts.planner.machine;
    const granted = this.#point.cpus[name]?.length ?? cpus.length;
    // CPUs kept busy at the present speed, which the level and the number of CPUs tell.
    const busyCpus = demandNs === null ? null : (demandNs * throughputRps) / NS_PER_S;
    const loadRatio =
      busyCpus === null || granted === 0 ? null : Math.min(1, (busyCpus / granted) * this.levelOf(name));
    return { service: name, level: step.level, loadRatio };
  }

  /** What the actuator really made of the point is what the controllers must reckon with, or they wind up. */
  #apply(point: OperatingPoint): Applied {
    const applied = this.#parts.actuator.apply(point);
    if (applied === this.#applied) return applied;
    this.#applied = applied;
    const frequencyKhz = { ...point.frequencyKhz };
    for (const { domain, appliedKhz } of applied.frequencies) {
      if (appliedKhz !== null) frequencyKhz[domain] = appliedKhz;
    }
    const unknown = (applied.cpus ?? [])
      .filter(({ appliedCpus }) => appliedCpus === null)
      .map(({ service }) => service);
    // Where that is not known, the service keeps every CPU that it has.
    const cpus = Object.fromEntries(Object.entries(point.cpus).filter(([service]) => !unknown.includes(service)));
    for (const { service, appliedCpus } of applied.cpus ?? []) {
      if (appliedCpus !== null) cpus[service] = appliedCpus;
    }
    this.#point = { frequencyKhz, cpus };
    this.#appliedLevels = this.#levelsOf(this.#point);
    return applied;
  }

  #levelsOf(point: OperatingPoint): Readonly<Record<string, Level>> {
    const { services, planner } = this.#parts;
    return Object.fromEntries(services.map(({ name }) => [name, planner.levelOf(point, name)]));
  }

  #report(seen: {
    seat: Seat;
    snapshot: Snapshot;
    observation: ServiceReport['observation'];
    compliance: Compliance;
  }): ServiceReport {
    const { service, step, railed } = seen.seat;
    const { failed } = railed;
    const { schedule } = railed.law;
    return {
      service: service.name,
      slo: service.slo,
      snapshot: summarizeSnapshot(seen.snapshot, this.#parts.clock.wallMs()),
      observation: seen.observation,
      decision: {
        controller: railed.controllerName,
        askedLevel: step.askedLevel,
        level: step.level,
        reason: this.#paused ? 'paused by the operator: full speed' : step.reason,
        ...(failed === undefined ? {} : { failed }),
        ...(schedule === undefined ? {} : { schedule }),
      },
      appliedLevel: this.levelOf(service.name),
      compliance: seen.compliance,
    };
  }
}

function isQuiet({ step, againNs }: Seat, { health }: Snapshot): boolean {
  return health === 'idle' && step.rests === true && againNs === null;
}

function againAt(nowNs: bigint, againMs: number | undefined): bigint | null {
  // Anything but a number is the mistake of a user's law, and no wish.
  if (againMs === undefined || !(againMs < Infinity)) return null;
  return nowNs + BigInt(Math.ceil(Math.max(SOONEST_AGAIN_MS, againMs) * NS_PER_MS));
}

function silence(target: string, sensor: Sensor, atNs: bigint, windowNs: number): Snapshot {
  return {
    target,
    method: sensor.method,
    unit: sensor.unit,
    atNs,
    windowNs,
    health: 'silence',
    arrivals: 0,
    requests: 0,
    overSlo: 0,
    abandoned: 0,
    unsolicited: 0,
    dropped: 0,
    inFlight: 0,
    oldestInFlightNs: 0,
    latency: new Histogram(),
    socketWait: new Histogram(),
    handlingTime: new Histogram(),
    cpuTimeNs: null,
    busiestThreadRatio: null,
  };
}
