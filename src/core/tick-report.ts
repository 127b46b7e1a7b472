import type { Applied } from './actuator.ts';
import type { Level, Observation } from './controller.ts';
import type { OperatingPoint } from './machine.ts';
import type { AlarmKind } from './sensor.ts';
import type { SnapshotSummary } from './snapshot-summary.ts';
import type { Slo } from './slo.ts';

/** What was decided for one service, and why. */
export interface Decision {
  readonly controller: string;
  /** What the controller asked for, and what the rails made of it. */
  readonly askedLevel: Level;
  readonly level: Level;
  readonly reason: string;
  /** Why the policy's own controller was given up, while another governs in its place; absent while it is sound. */
  readonly failed?: string;
  /** What the policy's schedule has in force; absent where it has none. */
  readonly schedule?: ScheduleReport;
}

/** Where a policy's schedule is. Times are ISO 8601. */
export interface ScheduleReport {
  /** The cron expression of the rule that fired last; null before any has. */
  readonly rule: string | null;
  readonly since: string | null;
  /** What fires next. */
  readonly next: { readonly rule: string; readonly at: string } | null;
}

export interface ServiceReport {
  readonly service: string;
  readonly slo: Slo;
  readonly snapshot: SnapshotSummary;
  readonly observation: Observation;
  readonly decision: Decision;
  /** The level that the machine is at after this tick. */
  readonly appliedLevel: Level;
  /** Over the SLO's compliance window, or as much of it as has passed. */
  readonly compliance: Compliance;
}

/** Did the service keep its objective? */
export interface Compliance {
  readonly windowMs: number;
  readonly requests: number;
  readonly overSlo: number;
  /** overSlo ÷ requests is within what the SLO tolerates. */
  readonly met: boolean;
}

/** The kernel woke the loop before its time. */
export interface AlarmReport {
  readonly target: string;
  readonly kind: AlarmKind;
  /** From the moment at which the kernel raised it to the moment at which the operating point had been applied. */
  readonly answeredMs: number;
}

export type LoopMode = 'govern' | 'dry-run' | 'simulate';

/** One tick, whole: what every view, log and metric is made from. Plain data, fit for JSON: it crosses threads and sockets. */
export interface TickReport {
  readonly tick: number;
  /** CLOCK_MONOTONIC when the tick began, in ms. */
  readonly atMs: number;
  /** How long after its deadline the tick began, and how long it took, in ms. */
  readonly lateMs: number;
  readonly tookMs: number;
  readonly mode: LoopMode;
  /** True in dry run: latency is rescaled by a model to the operating point that was asked for, since no CPU was slowed. */
  readonly predicted: boolean;
  /** What went wrong in this tick and was survived: a failed sensor read, a controller that threw. */
  readonly faults: readonly string[];
  /** True while an operator has paused governing: everything runs at full speed. */
  readonly paused: boolean;
  readonly services: readonly ServiceReport[];
  readonly asked: OperatingPoint;
  readonly applied: Applied;
  /** What woke the loop before its time; absent in a tick that came by the clock alone. */
  readonly alarms?: readonly AlarmReport[];
}
