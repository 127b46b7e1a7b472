import type { AlarmKind } from '../core/sensor.ts';

/** What raises an alarm: so many late requests since it was armed, or a request that waited so long to be taken up. */
export interface AlarmBudget {
  readonly lateBudget: number;
  readonly waitBudgetNs: number;
}

/** Kinds of alarm as a set. */
export const ALARM_BITS: Readonly<Record<AlarmKind, number>> = { late: 1, waiting: 2, 'arrival-after-idle': 4 };
