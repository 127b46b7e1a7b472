import { composeSimulation, type SimulatedNeighbour } from '../compose/compose-simulation.ts';
import type { PlanStrategy } from '../core/planner.ts';
import type { Snapshot } from '../core/sensor.ts';
import type { Slo } from '../core/slo.ts';
import type { TickReport } from '../core/tick-report.ts';
import { NS_PER_MS } from '../core/units.ts';
import type { Plant } from '../plant/plant.ts';
import type { ServerModel } from '../plant/server-model.ts';
import type { ServiceModel } from '../plant/service-model.ts';
import { Simulation } from '../plant/simulation.ts';
import type { Policy } from '../policy/load-policy.ts';
import type { Baseline, BaselineFacts, PlantView } from './baselines/baseline.ts';

export interface PilotOptions {
  readonly policy: Policy | Baseline;
  readonly server: ServerModel;
  readonly service: ServiceModel;
  readonly slo: Slo;
  /** More services on the same cores. A baseline's rule does not look at them. */
  readonly beside?: readonly SimulatedNeighbour[];
  readonly seed: number;
  /** What a policy's levels become; a baseline sets frequencies itself. */
  readonly strategy?: PlanStrategy;
}

/** Whatever runs a simulated server: the governor's loop with a policy, or a baseline's rule. */
export interface Pilot {
  readonly simulation: Simulation;
  readonly intervalNs: number;
  /** Lets the server run until then, or until an alarm before, and looks at what it did since the last call. */
  advanceTo(untilNs: number): Stage;
}

export interface Stage {
  readonly snapshot: Snapshot;
  /** Of the services beside it. */
  readonly beside: readonly Snapshot[];
  /** Mean over domains and over the time since the last call. */
  readonly frequencyKhz: number;
  readonly faulty: boolean;
}

export const isBaseline = (policy: Policy | Baseline): policy is Baseline => 'start' in policy;

/** @throws RangeError when the models contradict themselves */
export function createPilot(options: PilotOptions): Pilot {
  const { policy, ...rest } = options;
  return isBaseline(policy) ? baselinePilot(policy, rest) : governorPilot(policy, rest);
}

function governorPilot(policy: Policy, options: Omit<PilotOptions, 'policy'>): Pilot {
  const { loop, simulation, tickBy } = composeSimulation({ ...options, policy });
  loop.engage();
  let frequencyKhz = mean(options.server.machine.domains.map(({ allowedMaxKhz }) => allowedMaxKhz));
  return {
    simulation,
    get intervalNs() {
      return loop.intervalMs * NS_PER_MS;
    },
    advanceTo(untilNs) {
      const report = tickBy(untilNs);
      // What was in force until now; what this tick applied is in force from now on.
      const [snapshot, ...beside] = loop.snapshots;
      const stage = { snapshot: snapshot!, beside, frequencyKhz, faulty: report.faults.length > 0 };
      frequencyKhz = frequencyOf(report) ?? frequencyKhz;
      return stage;
    },
  };
}

function frequencyOf({ applied }: TickReport): number | null {
  const known = applied.frequencies.flatMap(({ appliedKhz }) => (appliedKhz === null ? [] : [appliedKhz]));
  return known.length === 0 ? null : mean(known);
}

/** How often the sensor is read for a baseline: as often as for most policies. */
const BASELINE_WINDOW_NS = 100 * NS_PER_MS;
const SERVICE = 0;

function baselinePilot(baseline: Baseline, options: Omit<PilotOptions, 'policy'>): Pilot {
  const { server, service, slo, seed, beside = [] } = options;
  const services = [options, ...beside].map((each) => ({ ...each.service, sloLatencyNs: each.slo.latencyNs }));
  const simulation = new Simulation({ server, services, seed });
  const { plant } = simulation;
  const { machine } = server;
  const { cpus, domains } = machine;
  const facts: BaselineFacts = {
    ...{ server, service, slo },
    lowestKhz: Math.min(...domains.map(({ allowedMinKhz }) => allowedMinKhz)),
    highestKhz: Math.max(...domains.map(({ allowedMaxKhz }) => allowedMaxKhz)),
  };
  const coresOf = domains.map((domain) => domain.cpus.map((cpu) => cpus.indexOf(cpu)));
  const ladders = domains.map(({ stepsKhz, allowedMinKhz, allowedMaxKhz }) =>
    stepsKhz === null ? null : stepsKhz.filter((khz) => khz >= allowedMinKhz && khz <= allowedMaxKhz),
  );
  const view = new LiveView(plant, coresOf);
  const rule = baseline.start(facts);
  const intervalNs = baseline.intervalNs(facts);
  let nextLookNs = intervalNs;
  return {
    simulation,
    intervalNs: Math.max(BASELINE_WINDOW_NS, intervalNs),
    advanceTo(untilNs) {
      const beganNs = plant.nowNs;
      let khzNs = 0;
      let snapshots: readonly Snapshot[] = [];
      while (plant.nowNs < untilNs) {
        const fromNs = plant.nowNs;
        plant.advanceTo(Math.min(untilNs, nextLookNs));
        khzNs += meanFrequencyKhz() * (plant.nowNs - fromNs);
        if (plant.nowNs === untilNs) snapshots = simulation.sensor.read();
        if (plant.nowNs >= nextLookNs) look(snapshots[0] ?? null);
      }
      return {
        snapshot: snapshots[0]!,
        beside: snapshots.slice(1),
        frequencyKhz: khzNs / (untilNs - beganNs),
        faulty: false,
      };
    },
  };

  function look(snapshot: Snapshot | null): void {
    nextLookNs = plant.nowNs + intervalNs;
    view.turnTo(snapshot);
    const wanted = rule(view);
    coresOf.forEach((cores, domain) => {
      let khz = 0;
      for (const core of cores) khz = Math.max(khz, wanted(core));
      plant.requestFrequency(domain, nextStepUp(domain, khz));
    });
  }

  /** As the kernel's governors ask: the lowest step that is fast enough. */
  function nextStepUp(domain: number, khz: number): number {
    const { allowedMinKhz, allowedMaxKhz } = domains[domain]!;
    const ladder = ladders[domain] ?? null;
    if (ladder === null) return Math.min(allowedMaxKhz, Math.max(allowedMinKhz, khz));
    for (const step of ladder) if (step >= khz) return step;
    return allowedMaxKhz;
  }

  function meanFrequencyKhz(): number {
    let sum = 0;
    for (let domain = 0; domain < domains.length; domain++) sum += plant.frequencyKhz(domain);
    return sum / domains.length;
  }
}

/** Looks into the plant. One object for a whole run: a look every 50 µs allocates nothing. */
class LiveView implements PlantView {
  snapshot: Snapshot | null = null;
  elapsedNs = 0;
  nowNs = 0;
  readonly #plant: Plant;
  readonly #domainOf: readonly number[];

  constructor(plant: Plant, coresOf: readonly (readonly number[])[]) {
    this.#plant = plant;
    const domainOf: number[] = [];
    coresOf.forEach((cores, domain) => cores.forEach((core) => (domainOf[core] = domain)));
    this.#domainOf = domainOf;
  }

  turnTo(snapshot: Snapshot | null): void {
    this.snapshot = snapshot;
    this.elapsedNs = this.#plant.nowNs - this.nowNs;
    this.nowNs = this.#plant.nowNs;
  }

  busyNs(core: number): number {
    return this.#plant.busyNs(SERVICE, core);
  }

  frequencyKhz(core: number): number {
    return this.#plant.frequencyKhz(this.#domainOf[core]!);
  }

  servingArrivalNs(core: number): number {
    return this.#plant.servingArrivalOf(SERVICE, core);
  }

  servingStartNs(core: number): number {
    return this.#plant.servingStartOf(core);
  }

  waiting(core: number): number {
    return this.#plant.waiting(SERVICE, core).size;
  }

  waitingArrivalNs(core: number, position: number): number {
    return this.#plant.waiting(SERVICE, core).arrivalNsAt(position);
  }
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
