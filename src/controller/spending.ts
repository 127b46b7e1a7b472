import type { ControllerInput } from '../core/controller.ts';
import { type Slo, toleratedRatio } from '../core/slo.ts';

/** How the share of slow requests that the SLO tolerates is being spent. */
export interface Spending {
  /** ln of the safety factor that keeps slow requests within the budget. */
  readonly margin: number;
  /** The part of it that was learned, without what makes up for the balance. */
  readonly usual: number;
  /** What was spent beyond the budget over about the last compliance window, in whole budgets of one; below 0 what is left. */
  readonly balance: number;
  /** Requests a second over about the last compliance window; null until some completed. */
  readonly usualRps: number | null;
}

export interface SpendingOptions {
  /** The share of the tolerated slow requests that may be spent, 0..1. */
  readonly budget: number;
  /** A whole budget of a compliance window over- or underspent moves the usual margin by this. */
  readonly gain: number;
  /** The margin stays between these. */
  readonly least: number;
  readonly most: number;
}

/** A margin to start from. */
export const spendingFrom = (margin: number): Spending => ({ margin, usual: margin, balance: 0, usualRps: null });

/** At low rates one slow request is a good part of the budget: it counts as one of at least so many. */
const LEAST_BUDGET = 10;
/** Chance takes a count away from its mean: so many standard deviations of a Poisson count of a whole budget are not spent. */
const DEVIATIONS_KEPT = 2;
/** No server is faster, and no window so short that more would mean anything. */
const MOST_RPS = 1e9;
/** A burst is no usual thing, however many were slow in it: one step is learned from as no more than this share of a budget. */
const MOST_LEARNED = 0.05;
/**
 * A balance of a whole budget moves the margin by these: what is left is spent with ease, what is missing must be won back
 * before the compliance window ends. With an exponential tail a margin of 0.3 makes a quarter of the slow requests of none.
 */
const SPENDING_MORE = 1;
const WINNING_BACK = 3;
const LARGEST_BALANCE = 1.5;

/** Are there enough requests for the share of slow ones to be kept by counting them over a compliance window? */
export const isCounted = ({ usualRps }: Spending, slo: Slo): boolean =>
  (toleratedRatio(slo) * (usualRps ?? 0) * slo.windowMs) / 1000 >= LEAST_BUDGET;

/** The margin grows while more of the budget is spent than may be, and shrinks while less is. */
export function followSpending(
  before: Spending,
  { observation, slo, elapsedMs }: ControllerInput,
  { budget, gain, least, most }: SpendingOptions,
): Spending {
  const { latest } = observation;
  if (latest.requests === 0 || latest.windowMs <= 0) return before;
  const clamp = (margin: number) => Math.min(most, Math.max(least, margin));
  const rps = Math.min(MOST_RPS, (latest.requests * 1000) / latest.windowMs);
  const weight = -Math.expm1((-2 * elapsedMs) / slo.windowMs);
  const usualRps = before.usualRps === null ? rps : before.usualRps + (rps - before.usualRps) * weight;
  const tolerated = toleratedRatio(slo);
  const wholeBudget = Math.max(LEAST_BUDGET, (tolerated * usualRps * slo.windowMs) / 1000);
  const spendable = budget * (1 - DEVIATIONS_KEPT / Math.sqrt(wholeBudget));
  const overspent = (latest.overSlo - spendable * tolerated * latest.requests) / wholeBudget;
  const usual = clamp(before.usual + gain * Math.min(MOST_LEARNED, overspent));
  const remembered = before.balance * Math.exp(-elapsedMs / slo.windowMs);
  const balance = Math.min(LARGEST_BALANCE, Math.max(-LARGEST_BALANCE, remembered + overspent));
  return { usualRps, usual, balance, margin: clamp(usual + (balance > 0 ? WINNING_BACK : SPENDING_MORE) * balance) };
}
