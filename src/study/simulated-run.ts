import { Histogram } from '../core/histogram.ts';
import type { PlanStrategy } from '../core/planner.ts';
import { type Slo, toleratedRatio } from '../core/slo.ts';
import { NS_PER_MS, NS_PER_S } from '../core/units.ts';
import type { LoadTrace } from '../plant/load-trace.ts';
import type { ServerModel } from '../plant/server-model.ts';
import type { ServiceModel } from '../plant/service-model.ts';
import { serviceOf, type Workload } from '../plant/workloads.ts';
import type { Policy } from '../policy/load-policy.ts';
import type { Baseline } from './baselines/baseline.ts';
import { createPilot, type Pilot } from './pilot.ts';
import { withCores } from './scenario.ts';

/** The share of the cores' time that the work needs at the highest frequency, where the trace is at 1. */
export const FULL_LOAD_RATIO = 0.7;

export interface RunOptions {
  readonly policy: Policy | Baseline;
  readonly workload: Workload;
  readonly trace: LoadTrace;
  /** In place of what workload and trace make: a replay. */
  readonly service?: ServiceModel;
  /** More services on the same cores, for which the load is shared out evenly; objectives are at the SLO's quantile. */
  readonly beside?: readonly Workload[];
  readonly server: ServerModel;
  readonly cores: number;
  readonly seed: number;
  readonly durationNs: number;
  readonly slo: Slo;
  /** What levels become; `frequency` where not given. */
  readonly strategy?: PlanStrategy;
}

/** A stretch of a run, for charts. */
export interface RunPoint {
  /** Simulated time at its end, in s. */
  readonly atS: number;
  readonly arrivalsPerS: number;
  /** Latency at the SLO's quantile; null where nothing completed. */
  readonly quantileNs: number | null;
  /** Means: over domains and time, and of the package. */
  readonly frequencyKhz: number;
  readonly watts: number;
  /** Since the start. */
  readonly energyJ: number;
}

/** What became of a policy. Energy is modelled. Requests are those that were completed. */
export interface RunResult {
  /** Less than was asked for where the run was stopped. */
  readonly simulatedNs: number;
  readonly arrivals: number;
  readonly requests: number;
  readonly overSlo: number;
  readonly latency: Histogram;
  readonly energyJ: number;
  /** Changes of a domain's frequency. */
  readonly transitions: number;
  /** Ticks in which something went wrong and was survived, such as a controller that threw. */
  readonly faultyTicks: number;
  /** Compliance windows of the SLO that have ended, one after the other, the last perhaps cut short; and those that missed it. */
  readonly windows: number;
  readonly missedWindows: number;
  readonly points: readonly RunPoint[];
  /** What became of the services beside it, in their order. */
  readonly beside: readonly NeighbourResult[];
}

export interface NeighbourResult {
  readonly slo: Slo;
  readonly requests: number;
  readonly overSlo: number;
  readonly latency: Histogram;
}

/** A chart shows no more; a run's memory does not grow with its length. */
const MOST_POINTS = 300;

/** One policy on one simulated server. Time passes in `advanceTo`; `result` may be asked for at any time. */
export class SimulatedRun {
  readonly durationNs: number;
  readonly slo: Slo;
  /** What is simulated, as the plant and the reference take it. */
  readonly server: ServerModel;
  readonly service: ServiceModel;
  readonly #pilot: Pilot;
  readonly #points: RunPoint[] = [];
  #stretch: Stretch;
  readonly #latency = new Histogram();
  #arrivals = 0;
  #requests = 0;
  #overSlo = 0;
  #faultyTicks = 0;
  /** Requests, and those over the SLO, of the compliance window under way. */
  #windowRequests = 0;
  #windowOverSlo = 0;
  #windowEndNs: number;
  #windows = 0;
  #missedWindows = 0;
  #nextTickNs: number;
  readonly #beside: readonly { readonly slo: Slo; readonly latency: Histogram; overSlo: number }[];

  /** @throws RangeError when the models contradict themselves */
  constructor(options: RunOptions) {
    const { policy, workload, trace, server, cores, seed, durationNs, slo, strategy } = options;
    this.durationNs = durationNs;
    this.slo = slo;
    this.server = withCores(server, cores);
    const others = options.beside ?? [];
    const load = { cores, loadRatio: FULL_LOAD_RATIO / (1 + others.length), trace };
    this.service = options.service ?? serviceOf('service', workload, load);
    const beside = others.map((other, index) => ({
      service: serviceOf(`beside-${index + 1}`, other, load),
      slo: { ...slo, latencyNs: other.sloLatencyNs },
    }));
    this.#beside = beside.map((other) => ({ slo: other.slo, latency: new Histogram(), overSlo: 0 }));
    this.#pilot = createPilot({
      ...{ policy, server: this.server, service: this.service, slo, seed },
      ...(beside.length === 0 ? {} : { beside }),
      ...(strategy === undefined ? {} : { strategy }),
    });
    this.#windowEndNs = Math.min(durationNs, slo.windowMs * NS_PER_MS);
    this.#stretch = new Stretch(0);
    this.#nextTickNs = this.#tickAfter(0);
  }

  get nowNs(): number {
    return this.#pilot.simulation.nowNs;
  }

  /** Lets the server run and the loop tick, to the last tick that is due by then; never beyond the run's end. */
  advanceTo(untilNs: number): void {
    while (this.nowNs < this.durationNs && this.#nextTickNs <= untilNs) this.#tick();
  }

  get result(): RunResult {
    const { energyJoules, transitions, nowNs } = this.#pilot.simulation;
    const latency = this.#latency.clone();
    latency.add(this.#stretch.latency);
    return {
      simulatedNs: nowNs,
      arrivals: this.#arrivals,
      requests: this.#requests,
      overSlo: this.#overSlo,
      latency,
      energyJ: energyJoules,
      transitions,
      faultyTicks: this.#faultyTicks,
      windows: this.#windows,
      missedWindows: this.#missedWindows,
      points: [...this.#points],
      beside: this.#beside.map((other) => ({
        ...{ slo: other.slo, overSlo: other.overSlo, requests: other.latency.count, latency: other.latency.clone() },
      })),
    };
  }

  #tick(): void {
    const beganNs = this.nowNs;
    const { snapshot, beside, frequencyKhz, faulty } = this.#pilot.advanceTo(this.#nextTickNs);
    beside.forEach(({ latency, overSlo }, index) => {
      this.#beside[index]!.latency.add(latency);
      this.#beside[index]!.overSlo += overSlo;
    });
    this.#arrivals += snapshot.arrivals;
    this.#requests += snapshot.requests;
    this.#overSlo += snapshot.overSlo;
    if (faulty) this.#faultyTicks++;
    this.#stretch.add(this.nowNs - beganNs, snapshot.arrivals, snapshot.latency, frequencyKhz);
    this.#windowRequests += snapshot.requests;
    this.#windowOverSlo += snapshot.overSlo;
    // An alarm comes in between: the tick that is due stays due, and windows and stretches end alike for all policies.
    if (this.nowNs < this.#nextTickNs) return;
    if (this.nowNs >= this.#windowEndNs) this.#endWindow();
    this.#nextTickNs = this.#tickAfter(this.nowNs);
    if (this.#stretch.lengthNs >= this.durationNs / MOST_POINTS || this.nowNs >= this.durationNs) this.#endStretch();
  }

  #endWindow(): void {
    this.#windows++;
    if (this.#windowOverSlo > this.#windowRequests * toleratedRatio(this.slo) + 1e-9) this.#missedWindows++;
    this.#windowRequests = 0;
    this.#windowOverSlo = 0;
    this.#windowEndNs = Math.min(this.durationNs, this.#windowEndNs + this.slo.windowMs * NS_PER_MS);
  }

  /** The last one is at the end, however short its window is. */
  #tickAfter(ns: number): number {
    return Math.min(this.durationNs, ns + this.#pilot.intervalNs);
  }

  #endStretch(): void {
    const { energyJoules, nowNs } = this.#pilot.simulation;
    this.#latency.add(this.#stretch.latency);
    this.#points.push(this.#stretch.point(nowNs, energyJoules, this.slo));
    this.#stretch = new Stretch(energyJoules);
  }
}

/** The whole run at once. @throws RangeError when the models contradict themselves */
export function simulateRun(options: RunOptions): RunResult {
  const run = new SimulatedRun(options);
  run.advanceTo(options.durationNs);
  return run.result;
}

/** What is gathered for the next point. */
class Stretch {
  readonly latency = new Histogram();
  lengthNs = 0;
  readonly #startJ: number;
  #arrivals = 0;
  #khzNs = 0;

  constructor(startJ: number) {
    this.#startJ = startJ;
  }

  add(lengthNs: number, arrivals: number, latency: Histogram, frequencyKhz: number): void {
    this.lengthNs += lengthNs;
    this.#arrivals += arrivals;
    this.#khzNs += frequencyKhz * lengthNs;
    this.latency.add(latency);
  }

  point(nowNs: number, energyJ: number, slo: Slo): RunPoint {
    const seconds = this.lengthNs / NS_PER_S;
    return {
      atS: nowNs / NS_PER_S,
      arrivalsPerS: this.#arrivals / seconds,
      quantileNs: this.latency.count === 0 ? null : this.latency.quantileNs(slo.quantile),
      frequencyKhz: this.#khzNs / this.lengthNs,
      watts: (energyJ - this.#startJ) / seconds,
      energyJ,
    };
  }
}
