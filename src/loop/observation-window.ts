import { Histogram } from '../core/histogram.ts';
import type { Observation } from '../core/controller.ts';
import type { Snapshot } from '../core/sensor.ts';
import type { Slo } from '../core/slo.ts';
import { NS_PER_MS, NS_PER_S } from '../core/units.ts';

/** No window is longer, however few requests it holds: older latencies say little about now. */
export const LONGEST_WINDOW_NS = 10 * NS_PER_S;

/** How many requests a quantile needs before its estimate carries weight: at 95 % confidence ln 0.05 ÷ ln q, 299 for p99. */
export function requestsNeeded(quantile: number): number {
  return Math.ceil(Math.log(0.05) / Math.log(quantile));
}

/**
 * Gathers the sensor's short windows into one that carries weight: the newest ones, until they hold enough requests for
 * the SLO's quantile or reach back LONGEST_WINDOW_NS.
 */
export class ObservationWindow {
  readonly #slo: Slo;
  /** Newest last. */
  #snapshots: Snapshot[] = [];

  constructor(slo: Slo) {
    this.#slo = slo;
  }

  /** Takes in the newest snapshot and says what is known now. */
  observe(snapshot: Snapshot, alarmed: boolean): Observation {
    this.#snapshots.push(snapshot);
    this.#forget();
    return observationOf(this.#snapshots, this.#slo, alarmed);
  }

  #forget(): void {
    const needed = requestsNeeded(this.#slo.quantile);
    let requests = 0;
    let windowNs = 0;
    let kept = this.#snapshots.length;
    while (kept > 0 && requests < needed && windowNs < LONGEST_WINDOW_NS) {
      const snapshot = this.#snapshots[--kept]!;
      requests += snapshot.requests;
      windowNs += snapshot.windowNs;
    }
    if (kept > 0) this.#snapshots = this.#snapshots.slice(kept);
  }
}

function observationOf(snapshots: readonly Snapshot[], slo: Slo, alarmed: boolean): Observation {
  const latest = snapshots.at(-1)!;
  const latency = new Histogram();
  let windowNs = 0;
  let requests = 0;
  let overSlo = 0;
  let socketWaitNs = 0;
  let handlingTimeNs = 0;
  let cpuTimeNs: number | null = 0;
  for (const snapshot of snapshots) {
    windowNs += snapshot.windowNs;
    requests += snapshot.requests;
    overSlo += snapshot.overSlo;
    // An empty window adds nothing to the histogram: at low rates that is most of them.
    if (snapshot.latency.count !== 0) latency.add(snapshot.latency);
    socketWaitNs += snapshot.socketWait.sumNs;
    handlingTimeNs += snapshot.handlingTime.sumNs;
    cpuTimeNs = cpuTimeNs === null || snapshot.cpuTimeNs === null ? null : cpuTimeNs + snapshot.cpuTimeNs;
  }
  const perRequest = (sumNs: number) => (requests > 0 ? sumNs / requests : null);
  return {
    health: latest.health,
    alarmed,
    windowMs: windowNs / NS_PER_MS,
    requests,
    overSlo,
    quantileNs: quantileOrNull(latency, slo.quantile),
    medianNs: quantileOrNull(latency, 0.5),
    socketWaitNs: perRequest(socketWaitNs),
    handlingTimeNs: perRequest(handlingTimeNs),
    latest: {
      windowMs: latest.windowNs / NS_PER_MS,
      arrivals: latest.arrivals,
      requests: latest.requests,
      overSlo: latest.overSlo,
      quantileNs: quantileOrNull(latest.latency, slo.quantile),
    },
    inFlight: latest.inFlight,
    oldestInFlightNs: latest.oldestInFlightNs,
    throughputRps: windowNs > 0 ? requests / (windowNs / NS_PER_S) : 0,
    utilization: latest.busiestThreadRatio,
    demandNs: cpuTimeNs === null ? null : perRequest(cpuTimeNs),
  };
}

function quantileOrNull(histogram: Histogram, quantile: number): number | null {
  return histogram.count > 0 ? histogram.quantileNs(quantile) : null;
}
