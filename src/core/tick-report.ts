import type { Applied } from './actuator.ts';
import type { Level, Observation } from './controller.ts';
import type { OperatingPoint } from './machine.ts';
import type { SnapshotSummary } from './snapshot-summary.ts';
import type { Slo } from './slo.ts';

/** What was decided for one service, and why. */
export interface Decision {
  readonly controller: string;
  /** What the controller asked for, and what the rails made of it. */
  readonly askedLevel: Level;
  readonly level: Level;
  readonly reason: string;
}

export interface ServiceReport {
  readonly service: string;
  readonly slo: Slo;
  readonly snapshot: SnapshotSummary;
  readonly observation: Observation;
  readonly decision: Decision;
  /** The level that the machine is at after this tick. */
  readonly appliedLevel: Level;
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
  /** True while an operator has paused governing: everything runs at full speed. */
  readonly paused: boolean;
  readonly services: readonly ServiceReport[];
  readonly asked: OperatingPoint;
  readonly applied: Applied;
}
