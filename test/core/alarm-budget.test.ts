import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { alarmCounts } from '../../src/core/alarm-budget.ts';
import { NS_PER_MS } from '../../src/core/units.ts';

const budgets = fc.record({
  lateBudget: fc.integer({ min: 1, max: 100 }),
  waitBudgetNs: fc.constant(NS_PER_MS),
  lateRatio: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
  waitingRatio: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
});
const given = <T extends object>(budget: T) =>
  Object.fromEntries(Object.entries(budget).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]: Exclude<T[Key], undefined>;
  };
const windows = fc.record({ requests: fc.nat(1_000_000), windowNs: fc.nat(1000 * NS_PER_MS) });

describe('alarmCounts()', () => {
  it.each<[string, number, number, { late: number; waiting: number }]>([
    ['nothing', 0, 0, { late: 2, waiting: 1 }],
    ['one a ms', 100, 100, { late: 2, waiting: 1 }],
    ['10 a ms', 1000, 100, { late: 2, waiting: 1 }],
    ['11 a ms', 1100, 100, { late: 2, waiting: 1 }],
    // 4000 and 9000 of them are beyond 10 a ms.
    ['50 a ms', 5000, 100, { late: 80, waiting: 20 }],
    ['100 a ms', 10_000, 100, { late: 180, waiting: 45 }],
    // As many in less time are more often.
    ['5000 in 10 ms', 5000, 10, { late: 98, waiting: 25 }],
  ])('takes of %s', (_, requests, ms, expected) => {
    const budget = { lateBudget: 2, lateRatio: 0.02, waitBudgetNs: NS_PER_MS, waitingRatio: 0.005 };
    expect(alarmCounts(budget, { requests, windowNs: ms * NS_PER_MS })).toEqual(expected);
  });

  it('takes the least of however many where no shares are given', () => {
    const budget = { lateBudget: 3, waitBudgetNs: NS_PER_MS };
    expect(alarmCounts(budget, { requests: 1_000_000, windowNs: NS_PER_MS })).toEqual({ late: 3, waiting: 1 });
  });

  it('never takes fewer than the least, and no more up to 10 a ms', () => {
    fc.assert(
      fc.property(budgets, windows, (budget, before) => {
        const { late, waiting } = alarmCounts(given(budget), before);
        expect(late).toBeGreaterThanOrEqual(budget.lateBudget);
        expect(waiting).toBeGreaterThanOrEqual(1);
        if (before.requests * NS_PER_MS > 10 * before.windowNs) return;
        expect({ late, waiting }).toEqual({ late: budget.lateBudget, waiting: 1 });
      }),
    );
  });

  it('never takes fewer of more', () => {
    fc.assert(
      fc.property(budgets, windows, fc.nat(1_000_000), (budget, before, more) => {
        const some = alarmCounts(given(budget), before);
        const ofMore = alarmCounts(given(budget), { ...before, requests: before.requests + more });
        expect(ofMore.late).toBeGreaterThanOrEqual(some.late);
        expect(ofMore.waiting).toBeGreaterThanOrEqual(some.waiting);
      }),
    );
  });
});
