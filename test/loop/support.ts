import { Histogram } from '../../src/core/histogram.ts';
import type { Snapshot } from '../../src/core/sensor.ts';
import type { Slo } from '../../src/core/slo.ts';
import { NS_PER_MS } from '../../src/core/units.ts';

export const SLO: Slo = { quantile: 0.99, latencyNs: 5 * NS_PER_MS, windowMs: 60_000 };

/** A snapshot of 100 ms in which `requests` took `latencyNs` each, a quarter of it waiting in the socket. */
export function snapshotOf(requests: number, latencyNs: number, overrides: Partial<Snapshot> = {}): Snapshot {
  const times = (ns: number) => {
    const histogram = new Histogram();
    if (requests > 0) histogram.record(ns, requests);
    return histogram;
  };
  return {
    target: 'web',
    method: 'simulated',
    unit: 'turn',
    atNs: 0n,
    windowNs: 100 * NS_PER_MS,
    health: requests > 0 ? 'active' : 'idle',
    arrivals: requests,
    requests,
    overSlo: latencyNs > SLO.latencyNs ? requests : 0,
    abandoned: 0,
    unsolicited: 0,
    dropped: 0,
    inFlight: 0,
    oldestInFlightNs: 0,
    latency: times(latencyNs),
    socketWait: times(latencyNs / 4),
    handlingTime: times((latencyNs * 3) / 4),
    cpuTimeNs: (requests * latencyNs) / 2,
    busiestThreadRatio: 0.5,
    ...overrides,
  };
}
