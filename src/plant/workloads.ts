import { NS_PER_MS, NS_PER_S, NS_PER_US } from '../core/units.ts';
import { type Distribution, meanNsOf } from './distribution.ts';
import type { LoadTrace } from './load-trace.ts';
import type { ServiceModel } from './service-model.ts';

/** A kind of service, without how much of it there is. */
export interface Workload {
  readonly summary: string;
  /** Where the figures come from, and which are assumed. */
  readonly source: string;
  readonly demand: Distribution;
  readonly frequencyBoundRatio: number;
  readonly dispatch: ServiceModel['dispatch'];
  /** A usual objective for such a service; p99. */
  readonly sloLatencyNs: number;
}

/** The presets, by the name that a command takes. */
export const workloads: Readonly<Record<string, Workload>> = {
  memcached: {
    summary: 'an in-memory cache: 10 µs a request, connections that belong to threads',
    source:
      'The order of 10 µs a request and objectives of some hundred µs: Leverich and Kozyrakis, "Reconciling High Server Utilization and Sub-millisecond Quality-of-Service", EuroSys 2014. That memcached hands each connection to one of its threads: its documentation. Assumed: lognormal with sigma 0.3, 70 % frequency-bound, 640 connections, p99 of 500 µs',
    demand: { kind: 'lognormal', meanNs: 10 * NS_PER_US, sigma: 0.3 },
    frequencyBoundRatio: 0.7,
    dispatch: { kind: 'connection-hash', connections: 640 },
    sloLatencyNs: 500 * NS_PER_US,
  },
  'bimodal-kv': {
    summary: 'a key-value store: short gets and a few long scans',
    source:
      'The shape, 99.5 % short and 0.5 % long requests that are a thousand times longer, is that of Kaffes et al., "Shinjuku", NSDI 2019 (0.5 µs and 500 µs). Assumed: 5 µs and 2 ms, so that the objective of a server with system calls means something; 70 % frequency-bound; p99 of 4 ms',
    demand: { kind: 'bimodal', shortNs: 5 * NS_PER_US, longNs: 2 * NS_PER_MS, longRatio: 0.005 },
    frequencyBoundRatio: 0.7,
    dispatch: { kind: 'central' },
    sloLatencyNs: 4 * NS_PER_MS,
  },
  'web-search': {
    summary: 'a search leaf: lognormal, mostly 1 to 10 ms',
    source:
      'Index search nodes answer in milliseconds to tens of them, with a long tail, and are mostly compute-bound: Meisner et al., "Power Management of Online Data-Intensive Services", ISCA 2011. Assumed: lognormal, mean 3.7 ms and sigma 0.7, which puts 90 % between 1 and 10 ms; 85 % frequency-bound; p99 of 25 ms',
    demand: { kind: 'lognormal', meanNs: 3.7 * NS_PER_MS, sigma: 0.7 },
    frequencyBoundRatio: 0.85,
    dispatch: { kind: 'central' },
    sloLatencyNs: 25 * NS_PER_MS,
  },
  'ml-inference': {
    summary: 'neural inference on CPU: 10 to 200 ms by the size of the input',
    source:
      'That inference on CPUs takes tens to hundreds of ms and varies heavily with the size of the query: Gupta et al., "DeepRecSys", ISCA 2020. Assumed: bounded Pareto with alpha 1.1; 60 % frequency-bound; p99 of 500 ms',
    demand: { kind: 'bounded-pareto', alpha: 1.1, minNs: 10 * NS_PER_MS, maxNs: 200 * NS_PER_MS },
    frequencyBoundRatio: 0.6,
    dispatch: { kind: 'central' },
    sloLatencyNs: 500 * NS_PER_MS,
  },
  microservice: {
    summary: 'one of many services behind a page: 1 ms, exponential',
    source:
      'Services of well under a millisecond to a few: Gan et al., "An Open-Source Benchmark Suite for Microservices" (DeathStarBench), ASPLOS 2019. Assumed: exponential, 1 ms, 75 % frequency-bound, p99 of 10 ms',
    demand: { kind: 'exponential', meanNs: NS_PER_MS },
    frequencyBoundRatio: 0.75,
    dispatch: { kind: 'central' },
    sloLatencyNs: 10 * NS_PER_MS,
  },
};

/**
 * A service of this kind whose Poisson arrivals, where its trace is at 1, keep `cores` cores busy for a share `loadRatio` of
 * the time at the highest frequency.
 */
export function serviceOf(
  name: string,
  workload: Workload,
  options: { readonly cores: number; readonly loadRatio: number; readonly trace?: LoadTrace },
): ServiceModel {
  return {
    name,
    sloLatencyNs: workload.sloLatencyNs,
    arrivals: { kind: 'poisson', ratePerS: (options.loadRatio * options.cores * NS_PER_S) / meanNsOf(workload.demand) },
    ...(options.trace !== undefined && { trace: options.trace }),
    demand: workload.demand,
    frequencyBoundRatio: workload.frequencyBoundRatio,
    dispatch: workload.dispatch,
  };
}
