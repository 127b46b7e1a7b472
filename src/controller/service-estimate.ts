import type { ControllerInput, Level } from '../core/controller.ts';
import { NS_PER_S } from '../core/units.ts';
import { type ArrivalRate, followArrivals } from './arrival-rate.ts';
import { busyShare } from './evidence.ts';
import { type LevelHistory, meanLevel, remember } from './level-history.ts';
import { meanWait, tailOf } from './queue-tail.ts';

/** What has been learned of a service that does not depend on the level: from it latency at any level follows. */
export interface ServiceEstimate {
  readonly arrivals: ArrivalRate | null;
  /** The levels over the window of measurement, so that latencies are held against the level that they belong to. */
  readonly history: LevelHistory;
  /** CPU time of a request at full speed: what stretches with 1/level. Null until a request completed. */
  readonly workNs: number | null;
  /** The mean of what no frequency changes: disks, downstreams, locks. */
  readonly restNs: number;
  /** What one request a second takes of full capacity: at 0.001, a thousand of them saturate it. */
  readonly loadPerRps: number;
  /** (1 + squared coefficient of variation of the service time) ÷ 2, from how long requests wait. */
  readonly variability: number;
}

export const nothingLearned: ServiceEstimate = {
  arrivals: null,
  history: [],
  workNs: null,
  restNs: 0,
  loadPerRps: 0,
  variability: 1,
};

/** Fewer threads than one make no server; more than this behave alike. */
const MOST_PARALLEL = 1024;
const LOWEST_LEVEL = 0.001;
/** A request that takes the whole service for an hour. */
const MOST_LOAD_PER_RPS = 3600;
/** A queue busier than this has not settled, so its waits say nothing about the service. */
const STEADY_UTILIZATION = 0.97;

/** How many requests are worked on at once when the service is saturated: threads, or cores. */
function parallelismOf({ workNs, loadPerRps }: ServiceEstimate): number {
  if (workNs === null || loadPerRps <= 0) return 1;
  return Math.min(MOST_PARALLEL, Math.max(1, workNs / NS_PER_S / loadPerRps));
}

export function utilizationAt({ loadPerRps }: ServiceEstimate, level: Level, rps: number): number {
  return (loadPerRps * rps) / Math.max(LOWEST_LEVEL, level);
}

/** The predicted latency, in ns, at a quantile: before any correction by what is measured. */
export function tailAt(service: ServiceEstimate, quantile: number, level: Level, rps: number): number {
  const serviceNs = (service.workNs ?? 0) / Math.max(LOWEST_LEVEL, level);
  const utilization = utilizationAt(service, level, rps);
  return service.restNs + serviceNs * tailOf(quantile, utilization, parallelismOf(service), service.variability);
}

/** The prediction for the window that was measured: at its level and its load. */
export function tailOfWindow(service: ServiceEstimate, { observation, slo, appliedLevel }: ControllerInput): number {
  const level = meanLevel(service.history, appliedLevel);
  const steadyRps = (STEADY_UTILIZATION * level) / Math.max(Number.MIN_VALUE, service.loadPerRps);
  return tailAt(service, slo.quantile, level, Math.min(observation.throughputRps, steadyRps));
}

/** The load follows the utilisation at this pace: a look at about the last second. */
const LOOK_MS = 2000;
/** Waits this short, in service times, or this far below what is predicted say nothing about variability. */
const TELLING_WAIT = 0.02;
const TELLING_SHARE = 0.1;
/** From constant service times to very uneven ones. */
const LEAST_VARIABILITY = 0.5;
const MOST_VARIABILITY = 8;

/** @param weight of the newest measurement, 0..1 */
export function learnService(before: ServiceEstimate, input: ControllerInput, weight: number): ServiceEstimate {
  const { observation, elapsedMs, appliedLevel } = input;
  const { handlingTimeNs, socketWaitNs, demandNs, throughputRps, utilization } = observation;
  const history = remember(before.history, appliedLevel, elapsedMs, observation.windowMs);
  const seen = { ...before, history, arrivals: followArrivals(before.arrivals, observation) };
  if (handlingTimeNs === null || socketWaitNs === null || throughputRps <= 0) return seen;

  const level = Math.max(LOWEST_LEVEL, meanLevel(history, appliedLevel));
  // Where the CPU time is not known, all of the handling time is taken to depend on frequency: slower is then worse than it is.
  const cpuNs = Math.min(demandNs ?? handlingTimeNs, handlingTimeNs);
  const workNs = blend(before.workNs, cpuNs * level, weight);
  const loadPerRps = blend(
    before.workNs === null ? null : before.loadPerRps,
    Math.min(MOST_LOAD_PER_RPS, ((utilization ?? busyShare(observation)) * appliedLevel) / throughputRps),
    Math.min(weight, -Math.expm1(-elapsedMs / LOOK_MS)),
  );
  const known = { ...seen, workNs, loadPerRps };

  const serviceNs = workNs / level;
  const steady = Math.min(STEADY_UTILIZATION, utilizationAt(known, level, throughputRps));
  const usualWait = meanWait(steady, parallelismOf(known), 1);
  const tells = usualWait > TELLING_WAIT && socketWaitNs > TELLING_SHARE * usualWait * serviceNs;
  const waited = Math.min(MOST_VARIABILITY, Math.max(LEAST_VARIABILITY, socketWaitNs / (serviceNs * usualWait)));
  const variability = tells
    ? Math.exp(blend(Math.log(before.variability), Math.log(waited), weight))
    : before.variability;

  const explainedNs = serviceNs * (1 + variability * usualWait);
  const restNs = blend(before.restNs, Math.max(0, handlingTimeNs + socketWaitNs - explainedNs), weight);
  return { ...known, variability, restNs };
}

const blend = (before: number | null, now: number, weight: number) =>
  before === null ? now : before + (now - before) * weight;
