import { type ControllerInput, type Level, SOONEST_AGAIN_MS } from '../core/controller.ts';
import type { Slo } from '../core/slo.ts';
import { NS_PER_MS, NS_PER_S } from '../core/units.ts';
import { rateInFlight } from './arrival-rate.ts';
import { busyShare } from './evidence.ts';
import { type LevelHistory, meanLevel, remember } from './level-history.ts';
import { type ObservedLoad, observeLoad, unknownLoad } from './observed-load.ts';
import { combinedTail, waitTailS } from './queue-tail.ts';

/** What has been learned of a service that does not depend on the level: from it latency at any level follows. */
export interface ServiceEstimate {
  readonly load: ObservedLoad;
  /** The levels over the window of measurement, so that latencies are held against the level that they belong to. */
  readonly history: LevelHistory;
  /** CPU time of a request at full speed: what stretches with 1/level. Null until a request completed. */
  readonly workNs: number | null;
  /** The same of handling time at the SLO's quantile. */
  readonly tailWorkNs: number;
  /** How much requests differ in work: the mean of its square ÷ the square of its mean. */
  readonly variability: number;
  /** The mean of what no frequency changes: disks, downstreams, locks. */
  readonly restNs: number;
  /** What one request a second takes of full capacity: at 0.001, a thousand of them saturate it. */
  readonly loadPerRps: number;
  /** Since the load rose by a jump; infinite where it never did, or fell back. */
  readonly sinceRiseMs: number;
  /** By how much jumps have raised the load of late, as a logarithm, ≥ 0: what was learned before was learned at another load. */
  readonly rise: number;
}

export const nothingLearned: ServiceEstimate = {
  load: unknownLoad,
  history: [],
  workNs: null,
  tailWorkNs: 0,
  variability: 2,
  restNs: 0,
  loadPerRps: 0,
  sinceRiseMs: Infinity,
  rise: 0,
};

/** Fewer threads than one make no server; more than this behave alike. */
const MOST_PARALLEL = 1024;
const LOWEST_LEVEL = 0.001;
/** A request that takes the whole service for an hour. */
const MOST_LOAD_PER_RPS = 3600;
/** A few requests among very many that hold up all of them. More of it is no more a queue than a series of accidents. */
const MOST_VARIABILITY = 200;
/** How far the prediction looks ahead, in latencies of the SLO: what waits longer is late anyhow, and by then it is seen. */
const HORIZON_SLOS = 1.25;

/** How many requests are worked on at once when the service is saturated: threads, or cores. */
function parallelismOf({ workNs, loadPerRps }: ServiceEstimate): number {
  if (workNs === null || loadPerRps <= 0) return 1;
  return Math.min(MOST_PARALLEL, Math.max(1, workNs / NS_PER_S / loadPerRps));
}

/** From what the kernel's alarm reports to the write that answers it, with room for a busy machine. */
const ANSWER_NS = 2 * NS_PER_MS;

/** Can the level follow the queue? Only where it takes longer to grow beyond the SLO than to be seen and answered. */
export const canFollowQueue = (slo: Slo): boolean => slo.latencyNs >= ANSWER_NS;

/** In this share of the SLO's latency a queue has become another. */
const QUEUE_CHANGES_SLOS = 0.5;

/** When to look again at a level that is there for what waits: how long it is a queue worth speaking of, in ms. */
export const queueLastsMs = (slo: Slo): number =>
  Math.max(SOONEST_AGAIN_MS, (QUEUE_CHANGES_SLOS * slo.latencyNs) / NS_PER_MS);

/** What there is to be served: how fast requests come, and how many are in flight now. */
export interface Demand {
  readonly rps: number;
  readonly inFlight: number;
}

/** What is known of it: a queue that has piled up says more than the rate of the last tick. */
export function demandNow(service: ServiceEstimate, { observation, slo }: ControllerInput): Demand {
  const piledUp = rateInFlight(observation, slo, parallelismOf(service));
  return { rps: Math.max(service.load.arrivals?.rps ?? 0, piledUp), inFlight: observation.inFlight };
}

/** The latency, in ns, at the SLO's quantile that is to be expected of what arrives next if the level were this one. */
export function tailAt(service: ServiceEstimate, slo: Slo, level: Level, { rps, inFlight }: Demand): number {
  const speed = Math.max(LOWEST_LEVEL, level);
  const { tailWorkNs, variability, restNs, loadPerRps } = service;
  const queue = {
    backlogS: Math.max(0, inFlight - parallelismOf(service)) * loadPerRps,
    load: rps * loadPerRps,
    loadDeviation: Math.sqrt(variability * rps) * loadPerRps,
  };
  const waitNs = NS_PER_S * waitTailS(queue, slo.quantile, speed, (HORIZON_SLOS * slo.latencyNs) / NS_PER_S);
  return restNs + combinedTail(tailWorkNs / speed, waitNs);
}

/** It is learned at the pace of so many requests, and no faster than in so many milliseconds. */
const LEARNING_REQUESTS = 2000;
/** Of the square of a time ten times as many have to be seen, for the rare long ones weigh most. */
const VARYING_REQUESTS = 20_000;
const LEARNING_MS = 1000;

/** @param learning a multiple of the usual pace */
export function learnService(before: ServiceEstimate, input: ControllerInput, learning = 1): ServiceEstimate {
  const { observation, elapsedMs, appliedLevel } = input;
  const { handlingTimeNs, handlingQuantileNs, handlingVariability, demandNs, throughputRps } = observation;
  const history = remember(before.history, appliedLevel, elapsedMs, observation.windowMs);
  const load = observeLoad(before.load, input);
  const seen = { ...before, history, load, ...followRise(before, load, elapsedMs) };
  if (handlingTimeNs === null || handlingQuantileNs === null || throughputRps <= 0) return seen;

  const weightOf = (many: number) =>
    -Math.expm1(-learning * Math.min(observation.latest.requests / many, elapsedMs / LEARNING_MS));
  const weight = weightOf(LEARNING_REQUESTS);
  const varies = handlingVariability ?? before.variability;
  const blend = (known: number, now: number) => (before.workNs === null ? now : known + (now - known) * weight);
  const level = Math.max(LOWEST_LEVEL, meanLevel(history, appliedLevel));
  // Where the CPU time is not known, all of the handling time is taken to depend on frequency: slower is then worse than it is.
  const cpuNs = Math.min(demandNs ?? handlingTimeNs, handlingTimeNs);
  const restNs = blend(before.restNs, handlingTimeNs - cpuNs);
  const guessed = Math.min(MOST_LOAD_PER_RPS, (busyShare(observation) * appliedLevel) / throughputRps);
  return {
    ...seen,
    workNs: blend(before.workNs ?? 0, cpuNs * level),
    tailWorkNs: blend(before.tailWorkNs, Math.max(0, handlingQuantileNs - restNs) * level),
    // Few requests vary less than many: it is not taken from the first, as the others are.
    variability:
      before.variability + (Math.min(MOST_VARIABILITY, varies) - before.variability) * weightOf(VARYING_REQUESTS),
    restNs,
    loadPerRps: Math.min(MOST_LOAD_PER_RPS, load.perRps ?? blend(before.loadPerRps, guessed)),
  };
}

/** A rise is forgotten in about so long: in that time the new load has been learned. */
const RISE_REMEMBERED_MS = 20_000;
/** More than this is as good as from nothing. */
const MOST_RISE = 2;

function followRise(
  before: ServiceEstimate,
  { arrivals }: ObservedLoad,
  elapsedMs: number,
): Pick<ServiceEstimate, 'rise' | 'sinceRiseMs'> {
  const rise = before.rise * Math.exp(-elapsedMs / RISE_REMEMBERED_MS);
  if (arrivals?.jumped !== true) return { rise, sinceRiseMs: before.sinceRiseMs + elapsedMs };
  const jump = Math.log(Math.max(1, arrivals.rps) / Math.max(1, before.load.arrivals?.rps ?? 0));
  return { rise: Math.min(MOST_RISE, Math.max(0, rise + jump)), sinceRiseMs: jump > 0 ? 0 : Infinity };
}
