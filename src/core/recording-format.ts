import type { RequestUnit, SensorMethod } from './sensor.ts';
import type { KiloHertz } from './units.ts';

/** The first line of a recording. */
export interface RecordingHeader {
  readonly format: 'tailgov-recording';
  readonly version: 1;
  readonly target: string;
  /** What one line is, as far as it was known when the recording began: see `units` of its marks. */
  readonly unit: RequestUnit;
  /** Wall time of arrival 0, ISO 8601. */
  readonly startedAt: string;
  /** CLOCK_MONOTONIC at arrival 0. */
  readonly startedAtNs?: number;
  /** How it was measured, and on which kernel. */
  readonly method?: SensorMethod;
  readonly kernel?: string;
  /** The service's objective, where one was given. */
  readonly slo?: { readonly quantile: number; readonly latencyNs: number };
  /** What the CPUs ran at when the recording began, as far as it was known. */
  readonly frequencyKhz: KiloHertz | null;
}

/** What was known of the target when so much of it had been recorded; cumulative. A line now and then. */
export interface RecordingMark {
  /** Since the start of the recording. */
  readonly atNs: number;
  /** CPU time of the target and the requests it was spent on, over the windows in which both were known. */
  readonly cpuTimeNs: number;
  readonly cpuRequests: number;
  /** Mean busy share of the busiest thread over these windows; null where it was not known. */
  readonly busiestThreadRatio: number | null;
  /** Mean frequency of the CPUs so far; null where it was not known. */
  readonly frequencyKhz: KiloHertz | null;
  /** Requests that were measured and did not find their way into the recording. */
  readonly lost: number;
  /** How many requests were counted by which unit: known only once they are, where the protocol was not told. */
  readonly units?: Readonly<Partial<Record<RequestUnit, number>>>;
}

/** The last line of a recording that was ended and not cut off. */
export interface RecordingEnd extends RecordingMark {
  /** `limit`: the file had reached the size that it was allowed. */
  readonly reason: 'done' | 'limit';
  /** What a dry run predicted meanwhile. */
  readonly predicted?: RecordedPrediction;
}

/** What a dry run said over its whole length that its policy would have done. */
export interface RecordedPrediction {
  /** The policy's file. */
  readonly policy: string;
  readonly requests: number;
  readonly overSlo: number;
  readonly p50Ns: number;
  /** At the SLO's quantile. */
  readonly quantileNs: number;
  /** Weighted by time: the share of full capacity that it would have granted. */
  readonly meanLevel: number;
}

export function recordingHeaderLine(header: Omit<RecordingHeader, 'format' | 'version'>): string {
  return `${JSON.stringify({ format: 'tailgov-recording', version: 1, ...header })}\n`;
}

/** One request, whenever it completes: lines need not be in order. All in whole ns. */
export function recordingLine(arrivalNs: number, socketWaitNs: number, handlingTimeNs: number): string {
  return `[${arrivalNs},${socketWaitNs},${handlingTimeNs}]\n`;
}

export const recordingMarkLine = (mark: RecordingMark): string => `${JSON.stringify({ mark })}\n`;

export const recordingEndLine = (end: RecordingEnd): string => `${JSON.stringify({ end })}\n`;
