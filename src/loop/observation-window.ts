import { Histogram } from '../core/histogram.ts';
import type { Observation } from '../core/controller.ts';
import type { Snapshot } from '../core/sensor.ts';
import type { Slo } from '../core/slo.ts';
import { NS_PER_MS, NS_PER_S } from '../core/units.ts';

/** No window is longer, however few requests it holds: older latencies say little about now. */
export const LONGEST_WINDOW_NS = 10 * NS_PER_S;

/** No window is shorter, however many requests it holds: queues come and go, and the next tenth of a second is another. */
const SHORTEST_WINDOW_NS = NS_PER_S;

/** How many requests a quantile needs before its estimate carries weight: at 95 % confidence ln 0.05 ÷ ln q, 299 for p99. */
export function requestsNeeded(quantile: number): number {
  return Math.ceil(Math.log(0.05) / Math.log(quantile));
}

/** What the gathered snapshots add up to. Kept up to date, since to add them all up at every tick would take most of its time. */
class Gathered {
  readonly latency = new Histogram();
  readonly handlingTime = new Histogram();
  windowNs = 0;
  requests = 0;
  overSlo = 0;
  #socketWaitNs = 0;
  #handlingTimeNs = 0;
  #cpuTimeNs = 0;
  /** Snapshots that do not know their CPU time. */
  #cpuUnknown = 0;

  add(snapshot: Snapshot): void {
    this.#count(snapshot, 1);
    // An empty window adds nothing to the histogram: at low rates that is most of them.
    if (snapshot.latency.count !== 0) {
      this.latency.add(snapshot.latency);
      this.handlingTime.add(snapshot.handlingTime);
    }
  }

  remove(snapshot: Snapshot): void {
    this.#count(snapshot, -1);
    if (snapshot.latency.count !== 0) {
      this.latency.subtract(snapshot.latency);
      this.handlingTime.subtract(snapshot.handlingTime);
    }
  }

  /** Means a request; null when nothing completed. */
  get means() {
    const perRequest = (sumNs: number) => (this.requests > 0 ? sumNs / this.requests : null);
    return {
      socketWaitNs: perRequest(this.#socketWaitNs),
      handlingTimeNs: perRequest(this.#handlingTimeNs),
      demandNs: this.#cpuUnknown > 0 ? null : perRequest(this.#cpuTimeNs),
    };
  }

  #count(snapshot: Snapshot, sign: 1 | -1): void {
    this.windowNs += sign * snapshot.windowNs;
    this.requests += sign * snapshot.requests;
    this.overSlo += sign * snapshot.overSlo;
    this.#socketWaitNs += sign * snapshot.socketWait.sumNs;
    this.#handlingTimeNs += sign * snapshot.handlingTime.sumNs;
    if (snapshot.cpuTimeNs === null) this.#cpuUnknown += sign;
    else this.#cpuTimeNs += sign * snapshot.cpuTimeNs;
  }
}

/**
 * Gathers the sensor's short windows into one that carries weight: the newest ones, until they hold enough requests for
 * the SLO's quantile or reach back LONGEST_WINDOW_NS.
 */
export class ObservationWindow {
  readonly #slo: Slo;
  readonly #needed: number;
  /** Oldest first, from `#oldest` on. */
  #snapshots: Snapshot[] = [];
  #oldest = 0;
  readonly #gathered = new Gathered();
  /** What no step has seen yet. */
  #unseen: Unseen | null = null;

  constructor(slo: Slo) {
    this.#slo = slo;
    this.#needed = requestsNeeded(slo.quantile);
  }

  /** Takes in the newest snapshot and says what is known now. */
  observe(snapshot: Snapshot, alarmed: boolean): Observation {
    this.#snapshots.push(snapshot);
    this.#gathered.add(snapshot);
    this.#forget();
    this.#unseen = joined(this.#unseen, snapshot);
    return observationOf(this.#gathered, snapshot, this.#unseen, this.#slo, alarmed);
  }

  /** A step has taken the last observation in: the next one's `latest` begins here. */
  stepped(): void {
    this.#unseen = null;
  }

  /** The oldest go while the others carry weight without them. */
  #forget(): void {
    const gathered = this.#gathered;
    while (this.#oldest < this.#snapshots.length - 1) {
      const { requests, windowNs } = this.#snapshots[this.#oldest]!;
      const leftNs = gathered.windowNs - windowNs;
      const enough = gathered.requests - requests >= this.#needed && leftNs >= SHORTEST_WINDOW_NS;
      if (!enough && leftNs < LONGEST_WINDOW_NS) break;
      gathered.remove(this.#snapshots[this.#oldest++]!);
    }
    // Now and then in one go: to shift a long array at every tick would cost more.
    if (this.#oldest * 2 > this.#snapshots.length) {
      this.#snapshots = this.#snapshots.slice(this.#oldest);
      this.#oldest = 0;
    }
  }
}

type Unseen = Pick<Snapshot, 'windowNs' | 'arrivals' | 'requests' | 'overSlo' | 'latency'>;

function joined(before: Unseen | null, next: Snapshot): Unseen {
  if (before === null) return next;
  const latency = before.latency.clone();
  latency.add(next.latency);
  return {
    windowNs: before.windowNs + next.windowNs,
    arrivals: before.arrivals + next.arrivals,
    requests: before.requests + next.requests,
    overSlo: before.overSlo + next.overSlo,
    latency,
  };
}

function observationOf(gathered: Gathered, latest: Snapshot, unseen: Unseen, slo: Slo, alarmed: boolean): Observation {
  const { latency, handlingTime, windowNs, requests, overSlo, means } = gathered;
  const [medianNs, quantileNs] = quantilesOrNull(latency, [0.5, slo.quantile]);
  return {
    health: latest.health,
    alarmed,
    windowMs: windowNs / NS_PER_MS,
    requests,
    overSlo,
    quantileNs: quantileNs!,
    medianNs: medianNs!,
    socketWaitNs: means.socketWaitNs,
    handlingTimeNs: means.handlingTimeNs,
    handlingQuantileNs: handlingTime.count > 0 ? handlingTime.quantileNs(slo.quantile) : null,
    handlingVariability: handlingTime.count > 0 ? handlingTime.variability : null,
    latest: {
      windowMs: unseen.windowNs / NS_PER_MS,
      arrivals: unseen.arrivals,
      requests: unseen.requests,
      overSlo: unseen.overSlo,
      quantileNs: unseen.latency.count > 0 ? unseen.latency.quantileNs(slo.quantile) : null,
    },
    inFlight: latest.inFlight,
    oldestInFlightNs: latest.oldestInFlightNs,
    throughputRps: windowNs > 0 ? requests / (windowNs / NS_PER_S) : 0,
    utilization: latest.busiestThreadRatio,
    demandNs: means.demandNs,
  };
}

function quantilesOrNull(histogram: Histogram, quantiles: readonly [number, number]): readonly (number | null)[] {
  if (histogram.count === 0) return [null, null];
  const [low, high] = quantiles[0] <= quantiles[1] ? [0, 1] : [1, 0];
  const found = histogram.quantilesNs([quantiles[low]!, quantiles[high]!]);
  return [found[low]!, found[high]!];
}
