import { expect, it } from 'vitest';
import { alarmBudget } from '../../src/compose/alarm-budget.ts';
import { NS_PER_MS } from '../../src/core/units.ts';

const slo = (quantile: number) => ({ quantile, latencyNs: 5 * NS_PER_MS, windowMs: 60_000 });

it.each([
  // Twice what is tolerated of one request a ms, and two at least.
  [0.75, 1000, { lateBudget: 500, lateRatio: 0.5, waitingRatio: 0.125 }],
  [0.9375, 100, { lateBudget: 13, lateRatio: 0.125, waitingRatio: 0.03125 }],
  [0.999, 100, { lateBudget: 2, lateRatio: 0.002, waitingRatio: 0.0005 }],
])('alarmBudget() follows from what p%d over %d ms tolerates', (quantile, intervalMs, expected) => {
  const budget = alarmBudget(slo(quantile), intervalMs);
  expect(budget.lateBudget).toBe(expected.lateBudget);
  expect(budget.lateRatio).toBeCloseTo(expected.lateRatio, 12);
  expect(budget.waitingRatio).toBeCloseTo(expected.waitingRatio, 12);
  expect(budget.waitBudgetNs).toBe(2.5 * NS_PER_MS);
});
