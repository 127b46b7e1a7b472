import { Histogram } from '../../src/core/histogram.ts';
import type { Snapshot } from '../../src/core/sensor.ts';
import { summarizeSnapshot } from '../../src/core/snapshot-summary.ts';
import type { Decision, ServiceReport, TickReport } from '../../src/core/tick-report.ts';
import { kiloHertz, NS_PER_MS } from '../../src/core/units.ts';
import type { DaemonStatus, LoopIdentity } from '../../src/telemetry/daemon-status.ts';
import { timesMessage } from '../../src/telemetry/metrics-times.ts';
import { SLO, snapshotOf } from '../loop/support.ts';

export { SLO, snapshotOf };

export const IDENTITY: LoopIdentity = {
  sensorMethod: 'tracepoint',
  actuatorMethod: 'cap',
  cpus: 2,
  domains: [{ id: 'policy0', cpus: [0, 1], minKhz: 400_000, maxKhz: 2_000_000 }],
};

export const STATUS: DaemonStatus = {
  version: '1.2.3',
  pid: 4711,
  startedAt: '2026-01-01T00:00:00.000Z',
  state: 'governing',
  pauseEnds: null,
  mode: 'govern',
  config: '/etc/tailgov/tailgov.yaml',
  sysfs: '/sys',
  loop: IDENTITY,
  ticks: { count: 0, missed: 0, faults: 0 },
  changes: { made: 0, refused: 0, refusal: null, needsRestart: [], policies: [] },
  http2: {},
  power: null,
  metrics: null,
  last: null,
};

/** A report of a tick in which these snapshots were seen, one service each, and what crosses the threads with it. */
export function tickOf(
  snapshots: readonly Snapshot[],
  overrides: Partial<Omit<TickReport, 'services'>> & { readonly decision?: Partial<Decision> } = {},
) {
  const { decision, ...report } = overrides;
  const point = { frequencyKhz: { policy0: kiloHertz(1_000_000) }, cpus: {} };
  const services = snapshots.map((snapshot): ServiceReport => ({
    service: snapshot.target,
    slo: SLO,
    snapshot: summarizeSnapshot(snapshot, 0),
    observation: {
      health: snapshot.health,
      alarmed: false,
      windowMs: 100,
      requests: snapshot.requests,
      overSlo: snapshot.overSlo,
      quantileNs: null,
      medianNs: null,
      handlingQuantileNs: null,
      handlingVariability: null,
      socketWaitNs: null,
      handlingTimeNs: null,
      latest: { windowMs: 100, arrivals: 0, requests: 0, overSlo: 0, quantileNs: null },
      inFlight: snapshot.inFlight,
      oldestInFlightNs: 0,
      throughputRps: 0,
      utilization: snapshot.busiestThreadRatio,
      demandNs: null,
    },
    decision: { controller: 'pid', askedLevel: 0.5, level: 0.5, reason: 'because', ...decision },
    appliedLevel: 0.5,
    compliance: { windowMs: 60_000, requests: snapshot.requests, overSlo: snapshot.overSlo, met: true },
  }));
  const tick: TickReport = {
    tick: 0,
    atMs: 0,
    lateMs: 0.25,
    tookMs: 0.5,
    mode: 'govern',
    predicted: false,
    faults: [],
    paused: false,
    services,
    asked: point,
    applied: {
      point,
      writes: 1,
      frequencies: [
        { domain: 'policy0', askedKhz: kiloHertz(1_000_000), appliedKhz: kiloHertz(1_000_000), outcome: 'applied' },
      ],
    },
    ...report,
  };
  return { report: tick, times: snapshots.map(timesMessage) };
}

/** A window in which requests took these latencies, all of it handling. */
export function windowOf(latenciesMs: readonly number[], overrides: Partial<Snapshot> = {}): Snapshot {
  const latency = Histogram.of(latenciesMs.map((ms) => ms * NS_PER_MS));
  return snapshotOf(latenciesMs.length, NS_PER_MS, {
    latency,
    handlingTime: latency,
    socketWait: Histogram.of(latenciesMs.map(() => 0)),
    overSlo: latenciesMs.filter((ms) => ms * NS_PER_MS > SLO.latencyNs).length,
    ...overrides,
  });
}
