import { Histogram } from '../core/histogram.ts';
import { packagePowerWatts, type PowerModel } from '../core/power-model.ts';
import type { TickReport } from '../core/tick-report.ts';
import { NS_PER_MS } from '../core/units.ts';
import { QUANTILE, SERVER_DOMAIN } from './demo-settings.ts';
import type { CoreSpan } from './modelled-core.ts';
import type { PhaseRecord } from './phase-record.ts';

/** Latencies of one run from one point of view, in ms. */
export interface LatencyFigures {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The share of requests over the SLO's bound; a request that got no reply is over it. */
  readonly overSloRatio: number;
}

export interface PhaseSummary {
  readonly name: string;
  /** On the plant, whose client sees what the sensor sees. */
  readonly simulated: boolean;
  readonly sloMs: number;
  readonly requests: number;
  readonly throughputRps: number;
  /** As the kernel sensor saw it: from the arrival at the server's socket to the last byte of the reply. */
  readonly sensor: LatencyFigures;
  /** As the client measured it, from the write of the request. */
  readonly clientFromWrite: LatencyFigures;
  /** As the client measured it, from the instant at which the request was due. */
  readonly clientFromDue: LatencyFigures;
  /** How late the client itself was with its requests, in ms. */
  readonly clientLate: { readonly p50Ms: number; readonly p99Ms: number };
  /** The share of the run in which the server was ready and had no CPU; null where the kernel does not tell. */
  readonly cpuWaitRatio: number | null;
  readonly unanswered: number;
  readonly connections: number;
  /** Controls of the mock that were not as before when the daemon had ended. */
  readonly notRestored: readonly string[];
  /** Modelled. */
  readonly energyJ: number;
  readonly meanPowerW: number;
  /** Weighted by time, of the core that the server ran on. */
  readonly meanFrequencyKhz: number;
  /** What the governor said that it had applied, weighted by time; null without ticks. The two should be the same. */
  readonly meanAppliedKhz: number | null;
  readonly busyRatio: number;
  readonly frequencyChanges: number;
  readonly ticks: number;
}

export function summarizePhase(record: PhaseRecord, sloMs: number, model: PowerModel): PhaseSummary {
  const { load, durationMs, startMs } = record;
  const latency = new Histogram();
  let requests = 0;
  let overSlo = 0;
  for (const window of record.windows) {
    latency.add(window.latency);
    requests += window.requests;
    overSlo += window.overSlo;
  }
  const spans = clipSpans(record.spans, startMs, startMs + durationMs);
  const lengthMs = sum(spans.map((span) => span.toMs - span.fromMs));
  const energyJ = sum(spans.map((span) => spanEnergyJ(span, model)));
  const fromWrite = [...load.latencyMs];
  const late = [...load.lateMs].sort(ascending);
  return {
    name: record.name,
    simulated: record.sensorMethod === 'simulated',
    sloMs,
    requests,
    throughputRps: requests / (durationMs / 1000),
    sensor: {
      count: requests,
      p50Ms: latency.quantileNs(0.5) / NS_PER_MS,
      p99Ms: latency.quantileNs(QUANTILE) / NS_PER_MS,
      overSloRatio: ratio(overSlo, requests),
    },
    clientFromWrite: latencyFigures(fromWrite, sloMs),
    clientFromDue: latencyFigures(
      fromWrite.map((ms, index) => ms + load.lateMs[index]!),
      sloMs,
    ),
    clientLate: { p50Ms: quantileOf(late, 0.5), p99Ms: quantileOf(late, 0.99) },
    cpuWaitRatio: record.cpuWaitRatio,
    unanswered: load.failures,
    connections: load.connections,
    notRestored: record.notRestored,
    energyJ,
    meanPowerW: ratio(energyJ, lengthMs / 1000),
    meanFrequencyKhz: ratio(sum(spans.map((span) => span.frequencyKhz * (span.toMs - span.fromMs))), lengthMs),
    meanAppliedKhz: meanAppliedKhz(record),
    busyRatio: ratio(sum(spans.map((span) => span.busyMs)), lengthMs),
    frequencyChanges: frequencyChanges(record.ticks).length,
    ticks: record.ticks.length,
  };
}

/** The ticks at which the applied operating point was another than before. */
export function frequencyChanges(ticks: readonly TickReport[]): readonly TickReport[] {
  const key = (tick: TickReport) => tick.applied.frequencies.map(({ appliedKhz }) => appliedKhz).join(' ');
  return ticks.filter((tick, index) => index > 0 && key(tick) !== key(ticks[index - 1]!));
}

function meanAppliedKhz({ ticks, startMs, durationMs }: PhaseRecord): number | null {
  let khzMs = 0;
  let lengthMs = 0;
  ticks.forEach((tick, index) => {
    const khz = tick.applied.frequencies.find(({ domain }) => domain === SERVER_DOMAIN)?.appliedKhz ?? null;
    if (khz === null) return;
    const forMs = (ticks[index + 1]?.atMs ?? startMs + durationMs) - tick.atMs;
    khzMs += khz * forMs;
    lengthMs += forMs;
  });
  return lengthMs > 0 ? khzMs / lengthMs : null;
}

/** Modelled energy of one span, in J: the server's core, and the rest of the package idle. */
export function spanEnergyJ(span: CoreSpan, model: PowerModel): number {
  const lengthMs = span.toMs - span.fromMs;
  if (lengthMs <= 0) return 0;
  const busy = Math.min(1, span.busyMs / lengthMs);
  return (packagePowerWatts(model, [{ frequencyKhz: span.frequencyKhz, busy }]) * lengthMs) / 1000;
}

/** The parts of the spans between two instants; busy time is split in proportion. */
export function clipSpans(spans: readonly CoreSpan[], fromMs: number, toMs: number): CoreSpan[] {
  return spans.flatMap((span) => {
    const [from, to] = [Math.max(span.fromMs, fromMs), Math.min(span.toMs, toMs)];
    if (to <= from) return [];
    const busyMs = (span.busyMs * (to - from)) / (span.toMs - span.fromMs);
    return [{ fromMs: from, toMs: to, frequencyKhz: span.frequencyKhz, busyMs }];
  });
}

function latencyFigures(latenciesMs: readonly number[], sloMs: number): LatencyFigures {
  const answered = latenciesMs.filter((ms) => !Number.isNaN(ms)).sort(ascending);
  const over = latenciesMs.filter((ms) => !(ms <= sloMs)).length;
  return {
    count: answered.length,
    p50Ms: quantileOf(answered, 0.5),
    p99Ms: quantileOf(answered, QUANTILE),
    overSloRatio: ratio(over, latenciesMs.length),
  };
}

/** The smallest value that a share `quantile` of the ascending values does not exceed; 0 when there are none. */
export function quantileOf(sorted: readonly number[], quantile: number): number {
  return sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)] ?? 0;
}

const ascending = (a: number, b: number) => a - b;
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const ratio = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
