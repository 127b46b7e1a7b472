import type { ControllerInput, Observation } from '../core/controller.ts';
import { type Slo, toleratedRatio } from '../core/slo.ts';
import { NS_PER_S } from '../core/units.ts';
import { binomialAtLeast, highestShare } from './binomial.ts';

/**
 * How far below the SLO's latency the measured quantile must lie before "under" is certain, as a share of it in 0..1.
 * The counts bound the share of requests over the SLO; taking the tail as exponential, from the measured quantile on, the
 * tail is short enough where quantile ÷ SLO ≤ ln(bound) ÷ ln(tolerated share). 0 slow of 299 at 95 % give 1, 0 of 50 give
 * 0.62, 0 of 5 give 0.17, and no requests 0: the fewer were seen, the more room is asked for.
 */
export function certainShare(observation: Observation, slo: Slo, confidence: number): number {
  const { requests, overSlo } = observation;
  const tolerated = toleratedRatio(slo);
  if (overSlo > requests * tolerated) return 0;
  return Math.min(1, Math.log(highestShare(overSlo, requests, confidence)) / Math.log(tolerated));
}

/**
 * The same where the share of slow requests is kept by counting them over a compliance window: only that too few were seen for
 * the quantile asks for room, not how many of them were slow.
 */
export function sureShare({ requests }: Observation, slo: Slo, confidence: number): number {
  return Math.min(1, Math.log(highestShare(0, requests, confidence)) / Math.log(toleratedRatio(slo)));
}

/** What is assumed of the load where nothing tells: the middle, so that a step is at most twice too long or too short. */
const UNKNOWN_BUSY_SHARE = 0.5;

/**
 * How near the service is to saturation, 0..1: the larger of its measured utilisation and of the share of latency that
 * requests wait for the server to read them, which in an M/M/1 queue is the utilisation.
 */
export function busyShare(observation: Observation): number {
  const { utilization, socketWaitNs, handlingTimeNs } = observation;
  const latencyNs = (socketWaitNs ?? 0) + (handlingTimeNs ?? 0);
  if (latencyNs <= 0) return utilization ?? UNKNOWN_BUSY_SHARE;
  return Math.min(1, Math.max(utilization ?? 0, (socketWaitNs ?? 0) / latencyNs));
}

/** Close to saturation the model would hardly step any more, so the busy share is taken as no higher than this. */
const HIGHEST_BUSY_SHARE = 0.85;

/**
 * The change of ln(level) that takes latency from `ratio` times its target to the target. In an M/M/1 queue the reciprocal
 * of any latency quantile is linear in the level and zero where the level meets the load: 1/L ∝ level − load. Hence
 * level′ = level · (1 + (1 − ρ)(ratio − 1)). Near the target this is (1 − ρ) · ln(ratio), the reciprocal of the
 * plant's gain −1/(1 − ρ) in logarithms; far below it, it never asks for less than the load.
 */
export function logLevelChange(ratio: number, busy: number): number {
  return Math.log1p((1 - Math.min(HIGHEST_BUSY_SHARE, busy)) * (ratio - 1));
}

/** So rarely would the last tick show this many slow requests by chance while the objective is just met. */
const CHANCE = 0.0003;
/** With the kernel's alarm, less is needed. */
const CHANCE_WHEN_ALARMED = 0.01;
/** The queue must need this many times the SLO's latency: a service that just meets its SLO gets near it now and then. */
const PILED_UP = 0.7;
/** What a rise that is urgent multiplies the level by at least, and at most. */
const LEAST_RISE = 1.2;
const LARGEST_RISE = 1000;

export interface Urgency {
  /** What to multiply the applied level by, > 1. */
  readonly factor: number;
  readonly why: string;
}

/** When the newest arrival is done: busy ÷ throughput is what a request takes of the server's capacity. */
function drainTimeNs({ inFlight, throughputRps }: Observation, busy: number): number {
  return throughputRps > 0 ? (inFlight * busy * NS_PER_S) / throughputRps : 0;
}

/** A queue that is gone within this share of the SLO is none to worry about. */
const DRAINED = 0.25;
/** One request as old as this may just be a long one. */
const STILL_YOUNG = 0.75;

/** Is a burst over? */
export function isDrained({ observation, slo }: ControllerInput): boolean {
  const { oldestInFlightNs } = observation;
  const drainNs = drainTimeNs(observation, busyShare(observation));
  return drainNs <= DRAINED * slo.latencyNs && oldestInFlightNs <= STILL_YOUNG * slo.latencyNs;
}

/**
 * Does the last tick alone show that the level is too low? Looks at what waits as well as at what completed.
 *
 * @param setpoint where latency is to settle, as a share of the SLO
 */
export function urgencyOf(input: ControllerInput, setpoint: number): Urgency | null {
  const { observation, slo } = input;
  const { latest, inFlight, oldestInFlightNs } = observation;
  const busy = busyShare(observation);

  const drainNs = drainTimeNs(observation, busy);
  if (inFlight > 1 && drainNs > PILED_UP * slo.latencyNs) {
    return {
      factor: Math.min(LARGEST_RISE, Math.max(LEAST_RISE, drainNs / (setpoint * slo.latencyNs))),
      why: `${inFlight} in flight`,
    };
  }

  const lateInFlight = oldestInFlightNs > slo.latencyNs ? 1 : 0;
  const over = latest.overSlo + lateInFlight;
  const seen = latest.requests + lateInFlight;
  const chance = observation.alarmed ? CHANCE_WHEN_ALARMED : CHANCE;
  if (over > 0 && binomialAtLeast(over, seen, toleratedRatio(slo)) < chance) {
    const worstNs = Math.max(latest.quantileNs ?? 0, oldestInFlightNs, slo.latencyNs);
    const factor = Math.exp(logLevelChange(worstNs / (setpoint * slo.latencyNs), busy));
    return {
      factor: Math.min(LARGEST_RISE, Math.max(LEAST_RISE, factor)),
      why: `${over} of the last ${seen} over the SLO`,
    };
  }

  // An alarm at the first arrival after a lull comes with one request and no harm.
  if (observation.alarmed && inFlight > 1 && !isDrained(input)) {
    return { factor: LEAST_RISE, why: `alarm with ${inFlight} in flight` };
  }
  return null;
}
