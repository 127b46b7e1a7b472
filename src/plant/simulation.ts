import type { Actuator, Applied, AppliedCpus, AppliedFrequency, OnExit, RestoredControl } from '../core/actuator.ts';
import type { Clock } from '../core/clock.ts';
import type { FrequencyDomain, OperatingPoint } from '../core/machine.ts';
import type { Alarm, AlarmKind, Health, Sensor, Snapshot } from '../core/sensor.ts';
import { type CpuId, type KiloHertz, NS_PER_MS, NS_PER_S, kiloHertz } from '../core/units.ts';
import { type AlarmBudget, alarmCounts, SeenSinceArmed } from '../core/alarm-budget.ts';
import { ALARM_BITS } from './alarms.ts';
import { Plant, type PlantOptions } from './plant.ts';

/** A request must have been in flight so long, with none completing, before the service counts as stalled. */
const STALL_NS = NS_PER_S;
/** How often the share of time that a service's cores are busy is looked at. */
const LOOK_NS = NS_PER_S;
/** Without one nothing is known of what a request takes, and the level stays where it is. */
const FIRST_LOOK_NS = 0.3 * NS_PER_S;

export interface SimulationOptions extends PlantOptions {
  /** What the wall clock says when the simulation starts, in ms since the epoch; default 0. Schedules go by it. */
  readonly startWallMs?: number;
  /** What raises alarms, the same for all services; absent: nothing does. */
  readonly alarms?: AlarmBudget;
}

/**
 * A simulated server behind the interfaces of a real one: its clock, its sensor and its actuator go into the same loop. Time
 * passes only in `advanceTo`.
 */
export class Simulation {
  readonly clock: Clock;
  /** Reads the services in the order in which they were given. */
  readonly sensor: Sensor;
  readonly actuator: Actuator;
  /** The model itself, for what looks deeper than any sensor can. */
  readonly plant: Plant;
  readonly #services: SimulationOptions['services'];

  /** @throws RangeError when the models contradict themselves or the machine */
  constructor(options: SimulationOptions) {
    const plant = new Plant(options);
    const startWallMs = options.startWallMs ?? 0;
    this.plant = plant;
    this.#services = options.services;
    this.clock = {
      monotonicNs: () => BigInt(Math.floor(plant.nowNs)),
      wallMs: () => startWallMs + plant.nowNs / NS_PER_MS,
    };
    this.sensor = simulatedSensor(plant, options);
    this.actuator = simulatedActuator(plant, options);
  }

  get nowNs(): number {
    return this.plant.nowNs;
  }

  /** Energy of the package since the start, as the power model has it. */
  get energyJoules(): number {
    return this.plant.joules;
  }

  /** How often a domain's frequency has changed. */
  get transitions(): number {
    return this.plant.transitions;
  }

  /** Lets the server run. @throws RangeError when `untilNs` is in the past */
  advanceTo(untilNs: number): void {
    this.plant.advanceTo(untilNs);
  }

  /** Lets the server run, to the first alarm if one is raised before. @returns it; none: the time has come */
  advanceToAlarm(untilNs: number): readonly Alarm[] {
    this.plant.advanceTo(untilNs, true);
    const atNs = this.clock.monotonicNs();
    return this.#services.flatMap(({ name }, service) => {
      const raised = this.plant.takeAlarms(service);
      const kinds = (Object.keys(ALARM_BITS) as AlarmKind[]).filter((kind) => (raised & ALARM_BITS[kind]) !== 0);
      return kinds.map((kind): Alarm => ({ target: name, kind, atNs }));
    });
  }
}

/** A point in time from which the next look at busy cores is measured. */
interface Look {
  atNs: number;
  busyNs: number[];
  busiestRatio: number | null;
}

function simulatedSensor(plant: Plant, { services, server, alarms }: SimulationOptions): Sensor {
  const cores = server.machine.cpus.map((_, core) => core);
  let readAtNs = plant.nowNs;
  const cpuTimeAtRead = services.map(() => 0);
  const seen = services.map(() => new SeenSinceArmed());
  const looks = services.map((): Look => ({ atNs: plant.nowNs, busyNs: cores.map(() => 0), busiestRatio: null }));
  return {
    method: 'simulated',
    unit: 'turn',
    read(urgent = false, rearm = false) {
      const windowNs = plant.nowNs - readAtNs;
      readAtNs = plant.nowNs;
      const snapshots = services.map((_, service) => readService(service, windowNs));
      snapshots.forEach(({ requests }, service) => seen[service]!.add(requests, windowNs));
      // An alarm is answered once between two ticks: a read that it urged does not arm it again.
      if (alarms !== undefined && !urgent) snapshots.forEach(({ health }, service) => arm(service, alarms, health));
      if (alarms !== undefined && urgent && rearm) services.forEach((_, service) => plant.rearm(service));
      return snapshots;
    },
    close() {
      // Nothing is held.
    },
  };

  function arm(service: number, budget: AlarmBudget, health: Health): void {
    const whileIdle = health === 'idle' ? ALARM_BITS['arrival-after-idle'] : 0;
    const counts = alarmCounts(budget, seen[service]!.take());
    plant.arm(service, counts, budget.waitBudgetNs, ALARM_BITS.late | ALARM_BITS.waiting | whileIdle);
  }

  function readService(service: number, windowNs: number): Snapshot {
    const window = plant.takeWindow(service);
    const inFlight = plant.inFlight(service);
    const oldestInFlightNs = inFlight === 0 ? 0 : plant.nowNs - plant.oldestArrivalNs(service);
    const busyNs = cores.map((core) => plant.busyNs(service, core));
    const cpuTimeNs = busyNs.reduce((sum, ns) => sum + ns, 0);
    const cpuTimeInWindowNs = cpuTimeNs - cpuTimeAtRead[service]!;
    cpuTimeAtRead[service] = cpuTimeNs;
    return {
      target: services[service]!.name,
      method: 'simulated',
      unit: 'turn',
      atNs: BigInt(Math.floor(plant.nowNs)),
      windowNs,
      health: healthOf(window.arrivals, window.requests, oldestInFlightNs, inFlight),
      ...window,
      abandoned: 0,
      unsolicited: 0,
      dropped: 0,
      inFlight,
      oldestInFlightNs,
      cpuTimeNs: cpuTimeInWindowNs,
      busiestThreadRatio: lookAt(service, busyNs),
    };
  }

  /**
   * Workers that share a queue are busy alike, whatever core each of them happens to be on; where connections belong to
   * cores, the busiest core saturates first.
   */
  function lookAt(service: number, busyNs: number[]): number | null {
    const look = looks[service]!;
    const spanNs = plant.nowNs - look.atNs;
    if (spanNs < (look.busiestRatio === null ? FIRST_LOOK_NS : LOOK_NS)) return look.busiestRatio;
    const ratios = busyNs.map((ns, core) => (ns - look.busyNs[core]!) / spanNs);
    const granted = plant.grantedCores(service);
    const sharesQueue = services[service]!.dispatch.kind === 'central';
    const busiest = sharesQueue ? ratios.reduce((sum, ratio) => sum + ratio, 0) / granted.length : Math.max(...ratios);
    looks[service] = { atNs: plant.nowNs, busyNs, busiestRatio: Math.min(1, busiest) };
    return looks[service].busiestRatio;
  }
}

function healthOf(arrivals: number, requests: number, oldestInFlightNs: number, inFlight: number): Health {
  if (requests > 0) return 'active';
  if (oldestInFlightNs >= STALL_NS) return 'stall';
  return arrivals > 0 || inFlight > 0 ? 'active' : 'idle';
}

function simulatedActuator(plant: Plant, { services, server }: PlantOptions): Actuator {
  const { machine } = server;
  const targetsKhz = machine.domains.map(({ allowedMaxKhz }) => allowedMaxKhz);
  return {
    machine,
    method: 'simulated',
    engage() {
      // Nothing that anybody else could want back.
    },
    apply(point): Applied {
      services.forEach(({ name }, service) => {
        const cores = point.cpus[name]?.map((cpu) => machine.cpus.indexOf(cpu)).filter((core) => core >= 0) ?? [];
        // As cpuset does: a service is never left without a CPU.
        if (cores.length > 0) plant.grant(service, cores);
      });
      const frequencies: AppliedFrequency[] = [];
      let writes = 0;
      machine.domains.forEach((domain, index) => {
        const askedKhz = point.frequencyKhz[domain.id];
        if (askedKhz === undefined) return;
        const appliedKhz = nearestAllowed(domain, askedKhz);
        const outcome =
          appliedKhz !== askedKhz ? 'clamped' : appliedKhz === targetsKhz[index] ? 'unchanged' : 'applied';
        if (appliedKhz !== targetsKhz[index]) writes++;
        targetsKhz[index] = appliedKhz;
        plant.requestFrequency(index, appliedKhz);
        frequencies.push({
          domain: domain.id,
          askedKhz,
          appliedKhz,
          outcome,
          ...(outcome === 'clamped' && { detail: `the simulated hardware runs at ${appliedKhz} kHz instead` }),
        });
      });
      const inForce = pointInForce();
      const cpus = Object.entries(point.cpus).map(([service, askedCpus]): AppliedCpus => {
        return {
          service,
          method: 'simulated',
          askedCpus,
          appliedCpus: inForce.cpus[service] ?? null,
          outcome: 'applied',
        };
      });
      return { point: inForce, frequencies, writes, ...(cpus.length === 0 ? {} : { cpus }) };
    },
    release(onExit: OnExit): readonly RestoredControl[] {
      return machine.domains.map((domain, index): RestoredControl => {
        const already = onExit === 'leave' || targetsKhz[index] === domain.allowedMaxKhz;
        if (!already) {
          targetsKhz[index] = domain.allowedMaxKhz;
          plant.requestFrequency(index, domain.allowedMaxKhz);
        }
        return { control: domain.id, outcome: already ? 'already' : 'restored' };
      });
    },
  };

  function pointInForce(): OperatingPoint {
    const frequencyKhz: Record<string, KiloHertz> = {};
    machine.domains.forEach(({ id }, index) => (frequencyKhz[id] = targetsKhz[index]!));
    const cpus: Record<string, readonly CpuId[]> = {};
    services.forEach(({ name }, service) => {
      cpus[name] = plant.grantedCores(service).map((core) => machine.cpus[core]!);
    });
    return { frequencyKhz, cpus };
  }
}

/** As a cap does: the highest frequency that the hardware has and that is not above the one asked for. */
function nearestAllowed(domain: FrequencyDomain, askedKhz: number): KiloHertz {
  const clampedKhz = Math.min(domain.allowedMaxKhz, Math.max(domain.allowedMinKhz, askedKhz));
  if (domain.stepsKhz === null) return kiloHertz(clampedKhz);
  const allowed = domain.stepsKhz.filter((khz) => khz >= domain.allowedMinKhz && khz <= domain.allowedMaxKhz);
  return allowed.findLast((khz) => khz <= clampedKhz) ?? allowed[0] ?? kiloHertz(clampedKhz);
}
