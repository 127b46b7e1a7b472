import type { ControllerInput } from '../core/controller.ts';
import { toleratedRatio } from '../core/slo.ts';

/** How the share of slow requests that the SLO tolerates is being spent. */
export interface Spending {
  /** ln of the safety factor that keeps slow requests within the budget, learned. */
  readonly margin: number;
  /** Requests a second over about the last compliance window; null until some completed. */
  readonly usualRps: number | null;
}

export interface SpendingOptions {
  /** The share of the tolerated slow requests that may be spent, 0..1. */
  readonly budget: number;
  /** A whole budget of a compliance window over- or underspent moves the margin by this. */
  readonly gain: number;
  /** The margin stays between these. */
  readonly least: number;
  readonly most: number;
}

/** At low rates one slow request is a good part of the budget: it counts as one of at least so many. */
const LEAST_BUDGET = 10;
/** No server is faster, and no window so short that more would mean anything. */
const MOST_RPS = 1e9;

/** The margin grows while more of the budget is spent than may be, and shrinks while less is. */
export function followSpending(
  before: Spending,
  { observation, slo, elapsedMs }: ControllerInput,
  { budget, gain, least, most }: SpendingOptions,
): Spending {
  const { latest } = observation;
  if (latest.requests === 0 || latest.windowMs <= 0) return before;
  const rps = Math.min(MOST_RPS, (latest.requests * 1000) / latest.windowMs);
  const weight = -Math.expm1((-2 * elapsedMs) / slo.windowMs);
  const usualRps = before.usualRps === null ? rps : before.usualRps + (rps - before.usualRps) * weight;
  const tolerated = toleratedRatio(slo);
  const wholeBudget = Math.max(LEAST_BUDGET, (tolerated * usualRps * slo.windowMs) / 1000);
  const overspent = (latest.overSlo - budget * tolerated * latest.requests) / wholeBudget;
  return { usualRps, margin: Math.min(most, Math.max(least, before.margin + gain * overspent)) };
}
