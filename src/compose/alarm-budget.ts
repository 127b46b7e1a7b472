import type { AlarmBudget } from '../core/alarm-budget.ts';
import { type Slo, toleratedRatio } from '../core/slo.ts';

/** A share of a window's requests that may be late before the loop is woken: twice what the SLO tolerates. */
const LATE_BUDGET_FACTOR = 2;
/** The loop is woken when a request waited this share of the SLO before it was even read. */
const WAIT_BUDGET_SHARE = 0.5;
/** Or, of very many, a share of them: half of what the SLO tolerates to be late. */
const WAITING_FACTOR = 0.5;

/** What wakes the loop before its tick, on a machine and in simulation alike. */
export function alarmBudget(slo: Slo, intervalMs: number): AlarmBudget {
  const tolerated = toleratedRatio(slo);
  return {
    // Of one request a ms.
    lateBudget: Math.max(2, Math.ceil(LATE_BUDGET_FACTOR * tolerated * intervalMs)),
    lateRatio: LATE_BUDGET_FACTOR * tolerated,
    waitBudgetNs: slo.latencyNs * WAIT_BUDGET_SHARE,
    waitingRatio: WAITING_FACTOR * tolerated,
  };
}
