import type { Observation } from '../core/controller.ts';
import type { Slo } from '../core/slo.ts';
import { NS_PER_S } from '../core/units.ts';

/** What is known of how fast requests arrive, in requests a second. */
export interface ArrivalRate {
  /** Averaged over about two thousand arrivals; follows a jump at once. */
  readonly rps: number;
  /** Averaged over a few hundred milliseconds. */
  readonly lately: number;
  /** True in the step in which the rate jumped. */
  readonly jumped: boolean;
}

/** No server is faster, and no window so short that more would mean anything. */
const MOST_RPS = 1e9;
const ARRIVALS_AVERAGED = 2000;
const SHORTEST_MEMORY_S = 0.5;
const LONGEST_MEMORY_S = 10;
const LATELY_S = 0.3;
/** A recent rate this many standard deviations of a Poisson count away from the average is a jump of the load. */
const JUMP = 4.5;
/** Fewer arrivals than this are no evidence of anything. */
const LEAST_ARRIVALS = 4;

/** @returns null until a window had a length */
export function followArrivals(before: ArrivalRate | null, { latest }: Observation): ArrivalRate | null {
  const seconds = latest.windowMs / 1000;
  if (!(seconds > 0)) return before;
  const now = Math.min(MOST_RPS, latest.arrivals / seconds);
  if (before === null) return { rps: now, lately: now, jumped: false };
  const lately = before.lately + (now - before.lately) * -Math.expm1(-seconds / LATELY_S);
  const memory = Math.min(LONGEST_MEMORY_S, Math.max(SHORTEST_MEMORY_S, ARRIVALS_AVERAGED / Math.max(1, before.rps)));
  const rps = before.rps + (now - before.rps) * -Math.expm1(-seconds / memory);
  const isJump = (measured: number, weightS: number) =>
    Math.abs(measured - rps) * weightS > LEAST_ARRIVALS + JUMP * Math.sqrt(rps * weightS);
  if (isJump(now, seconds)) return { rps: now, lately: now, jumped: true };
  // An exponential average over a time T carries the weight of 2T.
  if (isJump(lately, 2 * LATELY_S)) return { rps: lately, lately, jumped: true };
  return { rps, lately, jumped: false };
}

/** An alarm comes when a request has waited for this share of the SLO's latency: what waits behind it came since. */
const ALARMING_WAIT = 0.5;
/** A count is believed to be no more than this many standard deviations below what it shows. */
const DOUBT = 2;

/**
 * The rate at which requests must have arrived since the oldest one in flight did: all that are in flight came after it. A queue
 * that has just piled up shows so, within milliseconds, how fast; in quiet times it is less than the rate that is known anyhow.
 */
export function rateInFlight(
  { inFlight, oldestInFlightNs, alarmed }: Observation,
  slo: Slo,
  parallelism: number,
): number {
  const waiting = inFlight - parallelism;
  const sinceNs = alarmed ? Math.min(oldestInFlightNs, ALARMING_WAIT * slo.latencyNs) : oldestInFlightNs;
  if (sinceNs <= 0 || waiting <= 0) return 0;
  return Math.min(MOST_RPS, (Math.max(0, waiting - DOUBT * Math.sqrt(waiting)) * NS_PER_S) / sinceNs);
}
