import { type Slo, toleratedRatio } from '../core/slo.ts';

/** A share of a window's requests that may be late before the loop is woken: twice what the SLO tolerates. */
const LATE_BUDGET_FACTOR = 2;
/** The loop is woken when a request waited this share of the SLO before it was even read. */
const WAIT_BUDGET_SHARE = 0.5;

/** What wakes the loop before its tick, on a machine and in simulation alike. */
export function alarmBudget(slo: Slo, intervalMs: number) {
  return {
    lateBudget: Math.max(2, Math.ceil(LATE_BUDGET_FACTOR * toleratedRatio(slo) * intervalMs)),
    waitBudgetNs: slo.latencyNs * WAIT_BUDGET_SHARE,
  };
}
