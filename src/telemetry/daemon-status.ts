import type { LoopMode, TickReport } from '../core/tick-report.ts';

/** What the loop thread says of itself once it governs. */
export interface LoopIdentity {
  readonly sensorMethod: string;
  readonly actuatorMethod: string;
  readonly cpus: number;
  readonly domains: readonly {
    readonly id: string;
    readonly cpus: readonly number[];
    readonly minKhz: number;
    readonly maxKhz: number;
  }[];
}

/** `GET /v1/status`: a stable surface, plain data. */
export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly state: 'starting' | 'governing' | 'paused' | 'stopping';
  readonly mode: LoopMode;
  readonly config: string;
  readonly sysfs: string;
  readonly loop: LoopIdentity | null;
  readonly ticks: { readonly count: number; readonly missed: number; readonly faults: number };
  /** The newest tick; null before the first. */
  readonly last: TickReport | null;
}
