import type { Controller, Level } from '../core/controller.ts';
import type { Slo } from '../core/slo.ts';
import type { ScheduleReport } from '../core/tick-report.ts';

/** The fastest rise and fall of a level, in full capacity a second; absent: without a bound. */
export interface SlewLimits {
  readonly risePerS?: number;
  readonly fallPerS?: number;
}

/** How a service is governed: what becomes of a policy in the loop. */
export interface Law {
  readonly controller: Controller;
  readonly intervalMs: number;
  readonly limits: { readonly min: Level; readonly max: Level };
  readonly slew?: SlewLimits;
  /** Governs in the controller's place once that has failed too often; where absent, full speed does. */
  readonly fallback?: Controller;
  /** Where a schedule has this law in force. */
  readonly schedule?: ScheduleReport;
}

/** What the loop needs of a service: its objective and the law that governs it. */
export interface GovernedService extends Law {
  /** Also the name of the sensor's target. */
  readonly name: string;
  readonly slo: Slo;
  /**
   * Where a schedule changes the law: the one that is in force at a wall time. The same object while nothing changes, for it
   * is asked at every tick. Where absent the service's own fields are in force for good.
   */
  readonly lawAt?: (wallMs: number) => Law;
}
