import { Histogram } from '../../src/core/histogram.ts';
import { summarizeTimes } from '../../src/core/snapshot-summary.ts';
import type { TickReport } from '../../src/core/tick-report.ts';
import { kiloHertz } from '../../src/core/units.ts';
import type { PhaseRecord } from '../../src/demo/phase-record.ts';
import type { PhaseSummary } from '../../src/demo/summarize-phase.ts';

export interface TickFacts {
  readonly tick: number;
  readonly atMs: number;
  readonly khz?: number;
  readonly level?: number;
  readonly quantileMs?: number | null;
  readonly reason?: string;
  readonly faults?: readonly string[];
  readonly paused?: boolean;
}

export function tickReport(facts: TickFacts): TickReport {
  const {
    tick,
    atMs,
    khz = 2_000_000,
    level = 0.5,
    quantileMs = 4,
    reason = 'as told',
    faults = [],
    paused = false,
  } = facts;
  const quantileNs = quantileMs === null ? null : quantileMs * 1e6;
  const none = summarizeTimes(new Histogram());
  const point = { frequencyKhz: { policy0: kiloHertz(khz) }, cpus: {} };
  const compliance = { windowMs: 60_000, requests: 100, overSlo: 1, met: true };
  return {
    tick,
    atMs,
    lateMs: 0,
    tookMs: 1,
    mode: 'govern',
    predicted: false,
    faults,
    paused,
    services: [
      {
        service: 'web',
        slo: { quantile: 0.99, latencyNs: 5e6, windowMs: 60_000 },
        snapshot: {
          at: '2026-01-01T00:00:00.000Z',
          target: 'web',
          method: 'tracepoint',
          unit: 'turn',
          health: 'active',
          windowMs: 100,
          arrivals: 10,
          requests: 10,
          throughputRps: 100,
          overSlo: 0,
          inFlight: 3,
          oldestInFlightMs: 1,
          abandoned: 0,
          unsolicited: 0,
          dropped: 0,
          latency: none,
          socketWait: none,
          handlingTime: none,
        },
        observation: {
          health: 'active',
          alarmed: false,
          windowMs: 1000,
          requests: 100,
          overSlo: 0,
          quantileNs,
          medianNs: quantileNs === null ? null : quantileNs / 2,
          handlingQuantileNs: quantileNs === null ? null : quantileNs / 2,
          handlingVariability: quantileNs === null ? null : 2,
          socketWaitNs: quantileNs === null ? null : 250_000,
          handlingTimeNs: quantileNs === null ? null : 900_000,
          latest: { windowMs: 100, arrivals: 10, requests: 10, overSlo: 0, quantileNs },
          inFlight: 3,
          oldestInFlightNs: 1e6,
          throughputRps: 100,
          utilization: 0.4,
          demandNs: 1e6,
        },
        decision: { controller: 'pid', askedLevel: level, level, reason },
        appliedLevel: level,
        compliance,
      },
    ],
    asked: point,
    applied: {
      point,
      frequencies: [{ domain: 'policy0', askedKhz: kiloHertz(khz), appliedKhz: kiloHertz(khz), outcome: 'applied' }],
      writes: 1,
    },
  };
}

/** A run of two seconds from CLOCK_MONOTONIC 10,000 ms: four requests, one of them without a reply. */
export function phaseRecord(changes: Partial<PhaseRecord> = {}): PhaseRecord {
  const window = (atMs: number, timesMs: readonly number[], overSlo: number) => ({
    atMs,
    windowMs: 1000,
    arrivals: timesMs.length,
    requests: timesMs.length,
    overSlo,
    dropped: 0,
    latency: Histogram.of(timesMs.map((ms) => ms * 1e6)),
    socketWait: Histogram.of(timesMs.map(() => 100_000)),
  });
  return {
    name: 'pid',
    policyFile: 'policies/pid.yaml',
    startMs: 10_000,
    durationMs: 2000,
    schedule: { dueMs: Float64Array.of(100, 500, 1200, 1900), cycles: Float64Array.of(1, 1, 1, 1) },
    load: {
      lateMs: Float64Array.of(0.5, 1, 0.5, 2),
      latencyMs: Float64Array.of(3, 4, 30, Number.NaN),
      failures: 1,
      connections: 64,
    },
    windows: [window(1000, [2.5, 3.5], 0), window(2000, [29], 1)],
    ticks: [
      tickReport({ tick: 1, atMs: 10_100, khz: 4_700_000, level: 1 }),
      tickReport({ tick: 2, atMs: 10_200, khz: 4_700_000, level: 1 }),
      tickReport({ tick: 3, atMs: 11_000, khz: 2_000_000, level: 0.43, reason: 'p99 <low>: down' }),
    ],
    spans: [
      { fromMs: 9_000, toMs: 11_000, frequencyKhz: 4_700_000, busyMs: 1000 },
      { fromMs: 11_000, toMs: 13_000, frequencyKhz: 2_000_000, busyMs: 500 },
    ],
    sensorMethod: 'tracepoint',
    actuatorMethod: 'cap',
    cpuWaitRatio: 0.01,
    preferred: true,
    notRestored: [],
    ...changes,
  };
}

export function phaseSummary(changes: Partial<PhaseSummary> = {}): PhaseSummary {
  const figures = { count: 1000, p50Ms: 2, p99Ms: 10, overSloRatio: 0.001 };
  return {
    name: 'pid',
    simulated: false,
    sloMs: 20,
    requests: 1000,
    throughputRps: 100,
    sensor: figures,
    clientFromWrite: figures,
    clientFromDue: figures,
    clientLate: { p50Ms: 0.1, p99Ms: 1 },
    cpuWaitRatio: 0.001,
    unanswered: 0,
    connections: 64,
    notRestored: [],
    energyJ: 100,
    meanPowerW: 10,
    meanFrequencyKhz: 3_000_000,
    meanAppliedKhz: 3_010_000,
    busyRatio: 0.4,
    frequencyChanges: 7,
    ticks: 300,
    ...changes,
  };
}
