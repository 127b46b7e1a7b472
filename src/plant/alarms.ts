import type { AlarmKind } from '../core/sensor.ts';

/** Kinds of alarm as a set. */
export const ALARM_BITS: Readonly<Record<AlarmKind, number>> = { late: 1, waiting: 2, 'arrival-after-idle': 4 };
