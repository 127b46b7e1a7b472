import type { AlarmBudget } from '../core/alarm-budget.ts';
import type { Protocol } from '../core/sensor.ts';
import type { TargetPlace } from '../core/target-place.ts';

/** A server to be observed: every connection that it accepts. */
export interface TargetSpec extends TargetPlace {
  readonly name: string;
  /**
   * `auto` where not given. `connection`: one request a connection, from accept to close; of the method `syscall` alone, and
   * meant for comparisons.
   */
  readonly protocol?: Protocol | 'connection';
  /** Requests over this are counted as `overSlo`. */
  readonly sloLatencyNs?: number;
  /** When the kernel is to wake us: at so many requests over the SLO in a window, or at so many that waited so long to be read. */
  readonly alarm?: AlarmBudget;
}
