import type { Histogram } from '../core/histogram.ts';
import type { TickReport } from '../core/tick-report.ts';
import type { LoadSchedule } from './load-schedule.ts';
import type { CoreSpan } from './modelled-core.ts';
import type { LoadResult } from './part-messages.ts';

/** What the kernel sensor saw in one window. */
export interface SensorWindow {
  /** From the start of the run to the end of the window. */
  readonly atMs: number;
  readonly windowMs: number;
  readonly arrivals: number;
  readonly requests: number;
  readonly overSlo: number;
  readonly dropped: number;
  readonly latency: Histogram;
  readonly socketWait: Histogram;
}

/** Everything that was recorded while one policy ran. Times of ticks and spans are CLOCK_MONOTONIC, in ms. */
export interface PhaseRecord {
  /** The policy's name: its file's, without the ending. */
  readonly name: string;
  readonly policyFile: string;
  readonly startMs: number;
  readonly durationMs: number;
  readonly schedule: LoadSchedule;
  readonly load: LoadResult;
  readonly windows: readonly SensorWindow[];
  readonly ticks: readonly TickReport[];
  readonly spans: readonly CoreSpan[];
  readonly sensorMethod: string;
  readonly actuatorMethod: string;
  /** The share of the run in which the server was ready and had no CPU; null where the kernel does not tell. */
  readonly cpuWaitRatio: number | null;
  /** Server and client ran before other processes of the machine. */
  readonly preferred: boolean;
  /** Controls of the mock that were not as before when the daemon had ended. */
  readonly notRestored: readonly string[];
}
