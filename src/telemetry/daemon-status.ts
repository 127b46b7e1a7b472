import type { LoopMode, TickReport } from '../core/tick-report.ts';
import type { PowerOrigin } from './power-meter.ts';

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

/** How the config and its policies have been exchanged while the daemon runs. Times are ISO 8601. */
export interface ChangeStatus {
  /** Since the start: changes made, and changes refused because a file was bad. */
  readonly made: number;
  readonly refused: number;
  /** What is wrong with the files as they are now, while what ran before still runs; null when they are what runs. */
  readonly refusal: { readonly at: string; readonly problems: readonly string[] } | null;
  /** What has been changed in the config and waits for a restart. */
  readonly needsRestart: readonly string[];
  readonly policies: readonly PolicyInUse[];
}

export interface PolicyInUse {
  readonly service: string;
  readonly file: string;
  readonly controller: string;
  /** When it took over. */
  readonly since: string;
  /** False where it was swapped in and the config names another, which comes back at a restart. */
  readonly lasts: boolean;
  /** When what governed before comes back by itself, unless that is put off; absent: not before a restart. */
  readonly endsAt?: string;
}

/** A policy as it is shown to others: its file's name without the folder, and its controller. */
export interface ShownPolicy {
  readonly policy: string;
  readonly controller: string;
}

/** The answer to `POST /v1/policy`. */
export interface PolicySwap {
  readonly service: string;
  readonly file: string;
  readonly lasts: boolean;
}

/** Of a service that speaks HTTP/2, since the daemon's start: how its connections and its requests were counted. */
export interface Http2Totals {
  /** Begun to be counted by turn, by stream, and those of the latter that went over to turns. */
  readonly turnConnections: number;
  readonly streamConnections: number;
  readonly lostConnections: number;
  readonly turns: number;
  readonly streams: number;
  /** Streams that touch no latency. */
  readonly streaming: number;
}

export type PowerStatus = PowerOrigin & { readonly watts: number };

/** `GET /v1/status`: a stable surface, plain data. */
export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly state: 'starting' | 'governing' | 'paused' | 'stopping';
  /** When a pause ends by itself (ISO 8601); null where it lasts until resumed, or none is on. */
  readonly pauseEnds: string | null;
  readonly mode: LoopMode;
  readonly config: string;
  readonly sysfs: string;
  readonly loop: LoopIdentity | null;
  readonly ticks: { readonly count: number; readonly missed: number; readonly faults: number };
  readonly changes: ChangeStatus;
  /** By service; those that speak none are not in it. */
  readonly http2: Readonly<Record<string, Http2Totals>>;
  /** What the CPU packages draw, over about the last second; null where it is not known. */
  readonly power: PowerStatus | null;
  /** Where Prometheus finds metrics, and a browser the dashboard, such as `http://127.0.0.1:9750`; null while nowhere. */
  readonly metrics: string | null;
  /** The newest tick; null before the first. */
  readonly last: TickReport | null;
}
