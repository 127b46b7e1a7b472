import type { Histogram } from './histogram.ts';
import { gapVariation, slackRatio } from './secondary-signals.ts';
import type { Health, Http2Figures, RequestUnit, SecondarySignals, SensorMethod, Snapshot } from './sensor.ts';
import { NS_PER_MS, NS_PER_S, NS_PER_US } from './units.ts';

/** In µs; all 0 when nothing completed. `maxUs` is the upper bound of the highest bucket in use. */
export interface TimeSummary {
  readonly meanUs: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p95Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
}

/** A snapshot in plain numbers: what `observe --json`, `status --json` and the control socket show. A stable surface. */
export interface SnapshotSummary {
  /** Wall time at the read, ISO 8601. */
  readonly at: string;
  readonly target: string;
  readonly method: SensorMethod;
  readonly unit: RequestUnit;
  readonly health: Health;
  readonly windowMs: number;
  readonly arrivals: number;
  readonly requests: number;
  readonly throughputRps: number;
  readonly overSlo: number;
  readonly inFlight: number;
  readonly oldestInFlightMs: number;
  readonly abandoned: number;
  readonly unsolicited: number;
  readonly dropped: number;
  readonly latency: TimeSummary;
  readonly socketWait: TimeSummary;
  readonly handlingTime: TimeSummary;
  /** Where connections of the target speak HTTP/2: see `Http2Figures`. */
  readonly http2?: Http2Summary;
  /** Where it was asked for. */
  readonly secondary?: SecondarySummary;
}

export interface Http2Summary {
  readonly turnConnections: number;
  readonly streamConnections: number;
  readonly lostConnections: number;
  readonly streaming: number;
  readonly firstResponse: TimeSummary;
  readonly otherUnit: {
    readonly unit: RequestUnit;
    readonly arrivals: number;
    readonly requests: number;
    readonly inFlight: number;
    readonly latency: TimeSummary;
  };
}

/** Null where it is not known. */
export interface SecondarySummary {
  /** Share (0..1) of their time that the serving threads waited for work. */
  readonly slackRatio: number | null;
  /** Squared coefficient of variation of the gaps between sends. */
  readonly gapVariation: number | null;
  /** CPU time over wall time: how many cores the target's processes kept busy. */
  readonly busyCores: number | null;
}

const NO_TIMES: TimeSummary = { meanUs: 0, p50Us: 0, p90Us: 0, p95Us: 0, p99Us: 0, p999Us: 0, maxUs: 0 };

export function summarizeTimes(histogram: Histogram): TimeSummary {
  if (histogram.count === 0) return NO_TIMES;
  const us = (ns: number) => round(ns / NS_PER_US);
  const [p50, p90, p95, p99, p999] = histogram.quantilesNs([0.5, 0.9, 0.95, 0.99, 0.999]);
  return {
    meanUs: us(histogram.meanNs),
    p50Us: us(p50!),
    p90Us: us(p90!),
    p95Us: us(p95!),
    p99Us: us(p99!),
    p999Us: us(p999!),
    maxUs: us(histogram.maxNs),
  };
}

/** @param wallMs wall time at the read, in ms since the epoch */
export function summarizeSnapshot(snapshot: Snapshot, wallMs: number): SnapshotSummary {
  const windowS = snapshot.windowNs / NS_PER_S;
  return {
    at: new Date(wallMs).toISOString(),
    target: snapshot.target,
    method: snapshot.method,
    unit: snapshot.unit,
    health: snapshot.health,
    windowMs: round(snapshot.windowNs / NS_PER_MS),
    arrivals: snapshot.arrivals,
    requests: snapshot.requests,
    throughputRps: windowS > 0 ? round(snapshot.requests / windowS) : 0,
    overSlo: snapshot.overSlo,
    inFlight: snapshot.inFlight,
    oldestInFlightMs: round(snapshot.oldestInFlightNs / NS_PER_MS),
    abandoned: snapshot.abandoned,
    unsolicited: snapshot.unsolicited,
    dropped: snapshot.dropped,
    latency: summarizeTimes(snapshot.latency),
    socketWait: summarizeTimes(snapshot.socketWait),
    handlingTime: summarizeTimes(snapshot.handlingTime),
    ...(snapshot.http2 === undefined ? {} : { http2: summarizeHttp2(snapshot.http2) }),
    ...(snapshot.secondary === undefined ? {} : { secondary: summarizeSecondary(snapshot, snapshot.secondary) }),
  };
}

function summarizeHttp2({ firstResponse, otherUnit, ...counts }: Http2Figures): Http2Summary {
  const { unit, arrivals, requests, inFlight, latency } = otherUnit;
  return {
    ...counts,
    firstResponse: summarizeTimes(firstResponse),
    otherUnit: { unit, arrivals, requests, inFlight, latency: summarizeTimes(latency) },
  };
}

function summarizeSecondary({ cpuTimeNs, windowNs }: Snapshot, signals: SecondarySignals): SecondarySummary {
  const rounded = (value: number | null) => (value === null ? null : round(value));
  return {
    slackRatio: rounded(slackRatio(signals)),
    gapVariation: rounded(gapVariation(signals)),
    busyCores: cpuTimeNs === null || windowNs === 0 ? null : round(cpuTimeNs / windowNs),
  };
}

/** Three decimals: nanoseconds in a figure of microseconds. */
const round = (value: number) => Math.round(value * 1000) / 1000;
