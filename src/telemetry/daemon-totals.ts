import type { Slo } from '../core/slo.ts';
import type { LoopMode } from '../core/tick-report.ts';
import type { DaemonStatus } from './daemon-status.ts';
import type { EnergyReading, PowerOrigin } from './power-meter.ts';

/** `GET /v1/totals`: sums since the daemon's start, so that the difference of two is what happened in between. */
export interface DaemonTotals {
  /** ISO 8601: sums of another start are others. */
  readonly startedAt: string;
  readonly state: DaemonStatus['state'];
  readonly mode: LoopMode;
  /** CLOCK_MONOTONIC of the last tick, up to which the services' sums go; null before the first. */
  readonly atMs: number | null;
  /** null where power is not known. Its time is that of the last look at the counters, up to a second before `atMs`. */
  readonly energy: (EnergyReading & { readonly origin: PowerOrigin }) | null;
  readonly services: readonly ServiceTotals[];
}

export interface ServiceTotals {
  readonly service: string;
  readonly slo: Slo;
  readonly requests: number;
  readonly overSlo: number;
  /** Buckets of the histogram in src/core/histogram.ts, each with its count: bucket, count, bucket, count, ... */
  readonly latency: { readonly inUse: readonly number[]; readonly sumNs: number };
}
