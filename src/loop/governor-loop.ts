import type { Actuator, Applied, OnExit, RestoredControl } from '../core/actuator.ts';
import type { Clock } from '../core/clock.ts';
import type { Controller, Level } from '../core/controller.ts';
import { messageOf } from '../core/errors.ts';
import { Histogram } from '../core/histogram.ts';
import type { OperatingPoint } from '../core/machine.ts';
import type { Planner } from '../core/planner.ts';
import type { Alarm, Sensor, Snapshot } from '../core/sensor.ts';
import type { Slo } from '../core/slo.ts';
import { summarizeSnapshot } from '../core/snapshot-summary.ts';
import type { Compliance, LoopMode, ServiceReport, TickReport } from '../core/tick-report.ts';
import { NS_PER_MS } from '../core/units.ts';
import { ComplianceWindow } from './compliance-window.ts';
import { ObservationWindow } from './observation-window.ts';
import { railedStep, type RailedStep } from './rails.ts';

/** What the loop needs of a service: its objective and the law that governs it. */
export interface GovernedService {
  /** Also the name of the sensor's target. */
  readonly name: string;
  readonly slo: Slo;
  readonly controller: Controller;
  readonly intervalMs: number;
  readonly limits: { readonly min: Level; readonly max: Level };
}

export interface LoopParts {
  readonly services: readonly GovernedService[];
  readonly sensor: Sensor;
  readonly planner: Planner;
  readonly actuator: Actuator;
  readonly clock: Clock;
  readonly mode: LoopMode;
}

/** What the loop remembers of a service from tick to tick. */
interface Seat {
  readonly service: GovernedService;
  readonly window: ObservationWindow;
  readonly compliance: ComplianceWindow;
  controllerState: unknown;
  /** The last step's outcome, kept between steps when ticks are more frequent than the policy's interval. */
  step: RailedStep;
  steppedAtNs: bigint;
}

/** Ticks come in on time within this share of an interval; a policy's step is not put off by a tick that is a bit early. */
const EARLY_SHARE = 0.1;

/**
 * One tick: sense, decide, plan, apply, report. Sees interfaces only, so that the same loop runs on a machine, in dry run
 * and on a simulated plant.
 */
export class GovernorLoop {
  readonly #parts: LoopParts;
  readonly #seats: readonly Seat[];
  #tick = 0;
  #paused = false;
  #appliedLevels: Readonly<Record<string, Level>>;

  constructor(parts: LoopParts) {
    this.#parts = parts;
    const { planner, clock } = parts;
    this.#appliedLevels = this.#levelsOf(planner.full);
    this.#seats = parts.services.map((service) => {
      const level = this.#appliedLevels[service.name]!;
      const controllerState = service.controller.initial(level);
      return {
        service,
        window: new ObservationWindow(service.slo),
        compliance: new ComplianceWindow(service.slo),
        controllerState,
        step: { askedLevel: level, level, reason: 'starting at full speed', state: controllerState },
        steppedAtNs: clock.monotonicNs(),
      };
    });
  }

  /** The shortest interval of the policies: how often to tick. */
  get intervalMs(): number {
    return Math.min(...this.#parts.services.map((service) => service.intervalMs));
  }

  /** The level that a service is at; the predicting sensor asks this. */
  levelOf(service: string): Level {
    return this.#appliedLevels[service] ?? 1;
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
    for (const seat of this.#seats)
      seat.controllerState = seat.service.controller.initial(this.levelOf(seat.service.name));
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
   */
  tick(dueNs: bigint, alarms: readonly Alarm[] = []): TickReport {
    const { clock, planner, mode } = this.#parts;
    const beganNs = clock.monotonicNs();
    const faults: string[] = [];
    const snapshots = this.#sense(beganNs, faults);
    const alarmed = new Set(alarms.map((alarm) => alarm.target));

    const reports = this.#seats.map((seat, index) => {
      const snapshot = snapshots[index]!;
      const observation = seat.window.observe(snapshot, alarmed.has(seat.service.name));
      const windowMs = snapshot.windowNs / NS_PER_MS;
      const compliance = seat.compliance.add(windowMs, snapshot.requests, snapshot.overSlo);
      this.#decide(seat, observation, beganNs, faults);
      return { seat, snapshot, observation, compliance };
    });

    const asked = this.#paused
      ? planner.full
      : planner.plan(this.#seats.map((seat) => ({ service: seat.service.name, level: seat.step.level }))).point;
    const applied = this.#apply(asked);

    return {
      tick: this.#tick++,
      atMs: Number(beganNs) / NS_PER_MS,
      lateMs: Number(beganNs - dueNs) / NS_PER_MS,
      tookMs: Number(clock.monotonicNs() - beganNs) / NS_PER_MS,
      mode,
      predicted: mode === 'dry-run',
      paused: this.#paused,
      faults,
      services: reports.map((report) => this.#report(report)),
      asked,
      applied,
    };
  }

  /** A sensor that fails is silence for every service: the controllers know what to do then. */
  #sense(atNs: bigint, faults: string[]): readonly Snapshot[] {
    try {
      return this.#parts.sensor.read();
    } catch (error) {
      faults.push(`sensor read failed: ${messageOf(error)}`);
      return this.#seats.map((seat) =>
        silence(seat.service.name, this.#parts.sensor, atNs, this.intervalMs * NS_PER_MS),
      );
    }
  }

  #decide(seat: Seat, observation: ServiceReport['observation'], nowNs: bigint, faults: string[]): void {
    const elapsedMs = Number(nowNs - seat.steppedAtNs) / NS_PER_MS;
    const due = elapsedMs >= seat.service.intervalMs * (1 - EARLY_SHARE) || observation.alarmed;
    if (!due || this.#paused) return;
    seat.step = railedStep(
      seat.service.controller,
      {
        slo: seat.service.slo,
        observation,
        elapsedMs,
        appliedLevel: this.levelOf(seat.service.name),
        limits: seat.service.limits,
      },
      seat.controllerState,
    );
    seat.controllerState = seat.step.state;
    seat.steppedAtNs = nowNs;
    if (seat.step.fault !== undefined) faults.push(`${seat.service.name}: ${seat.step.fault}`);
  }

  /** What the actuator really made of the point is what the controllers must reckon with, or they wind up. */
  #apply(point: OperatingPoint): Applied {
    const applied = this.#parts.actuator.apply(point);
    const frequencyKhz = { ...point.frequencyKhz };
    for (const { domain, appliedKhz } of applied.frequencies) {
      if (appliedKhz !== null) frequencyKhz[domain] = appliedKhz;
    }
    this.#appliedLevels = this.#levelsOf({ ...point, frequencyKhz });
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
    const { service, step } = seen.seat;
    return {
      service: service.name,
      slo: service.slo,
      snapshot: summarizeSnapshot(seen.snapshot, this.#parts.clock.wallMs()),
      observation: seen.observation,
      decision: {
        controller: service.controller.name,
        askedLevel: step.askedLevel,
        level: step.level,
        reason: this.#paused ? 'paused by the operator: full speed' : step.reason,
      },
      appliedLevel: this.levelOf(service.name),
      compliance: seen.compliance,
    };
  }
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
