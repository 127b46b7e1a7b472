import { NS_PER_S } from '../../../src/core/units.ts';
import { Plant } from '../../../src/plant/plant.ts';
import type { Distribution } from '../../../src/plant/distribution.ts';
import { meanNsOf } from '../../../src/plant/distribution.ts';
import { plainServer } from './servers.ts';

/** One queue and `cores` cores at full speed. */
export interface QueueCase {
  readonly cores: number;
  readonly loadRatio: number;
  readonly demand: Distribution;
  /** Requests that count, all batches together. */
  readonly requests: number;
  readonly seed: number;
  /** How many take longer is counted exactly, with no histogram in between. */
  readonly boundNs: number;
}

/** A mean with its standard error from the means of batches. */
export interface Estimate {
  readonly mean: number;
  readonly standardError: number;
}

export interface QueueMeasures {
  readonly latencyNs: Estimate;
  readonly overBoundRatio: Estimate;
  /** Busy share of the cores. */
  readonly utilization: Estimate;
  readonly throughputPerNs: Estimate;
  /** Requests in the system, looked at from outside at regular times, not derived from latencies. */
  readonly inSystem: Estimate;
  /** By batch: these − throughput · latency, which Little's law says are the same. */
  readonly littleGap: Estimate;
  /** From the pooled histogram. */
  readonly p99Ns: number;
}

const BATCHES = 50;
const LOOKS_PER_BATCH = 4000;

/** Simulates a queue long enough for its means to settle; the first tenth is thrown away. */
export function measureQueue({ cores, loadRatio, demand, requests, seed, boundNs }: QueueCase): QueueMeasures {
  const ratePerNs = (loadRatio * cores) / meanNsOf(demand);
  const plant = new Plant({
    server: plainServer(cores),
    services: [
      {
        name: 'queue',
        sloLatencyNs: boundNs,
        arrivals: { kind: 'poisson', ratePerS: ratePerNs * NS_PER_S },
        demand,
        frequencyBoundRatio: 1,
        dispatch: { kind: 'central' },
      },
    ],
    seed,
  });
  const batchNs = requests / ratePerNs / BATCHES;
  plant.advanceTo((BATCHES * batchNs) / 10);
  plant.takeWindow(0);
  const batches = Array.from({ length: BATCHES }, () => measureBatch(plant, cores, batchNs));
  const pooled = batches[0]!.latency.clone();
  for (const { latency } of batches.slice(1)) pooled.add(latency);
  return {
    latencyNs: estimate(batches.map(({ latency }) => latency.meanNs)),
    overBoundRatio: estimate(batches.map(({ overSlo, latency }) => overSlo / latency.count)),
    utilization: estimate(batches.map(({ busyRatio }) => busyRatio)),
    throughputPerNs: estimate(batches.map(({ latency }) => latency.count / batchNs)),
    inSystem: estimate(batches.map(({ inSystem }) => inSystem)),
    littleGap: estimate(batches.map(({ inSystem, latency }) => inSystem - (latency.count / batchNs) * latency.meanNs)),
    p99Ns: pooled.quantileNs(0.99),
  };
}

function measureBatch(plant: Plant, cores: number, batchNs: number) {
  const startNs = plant.nowNs;
  const busyBeforeNs = busyNs(plant, cores);
  let inSystem = 0;
  for (let look = 1; look <= LOOKS_PER_BATCH; look++) {
    plant.advanceTo(startNs + (batchNs * look) / LOOKS_PER_BATCH);
    inSystem += plant.inFlight(0);
  }
  const { latency, overSlo } = plant.takeWindow(0);
  const busyRatio = (busyNs(plant, cores) - busyBeforeNs) / (cores * batchNs);
  return { latency, overSlo, busyRatio, inSystem: inSystem / LOOKS_PER_BATCH };
}

function busyNs(plant: Plant, cores: number): number {
  let sum = 0;
  for (let core = 0; core < cores; core++) sum += plant.busyNs(0, core);
  return sum;
}

export function estimate(batchMeans: readonly number[]): Estimate {
  const count = batchMeans.length;
  const mean = batchMeans.reduce((sum, value) => sum + value, 0) / count;
  const variance = batchMeans.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  return { mean, standardError: Math.sqrt(variance / count) };
}

/** Erlang's C: the probability that an arrival waits. @param offered the load in cores, λ ÷ μ */
export function erlangC(cores: number, offered: number): number {
  let blocking = 1;
  for (let n = 1; n <= cores; n++) blocking = (offered * blocking) / (n + offered * blocking);
  return blocking / (1 - (offered / cores) * (1 - blocking));
}

/** Mean time in an M/M/k system, in units of the mean service time. */
export function mmkMean(cores: number, loadRatio: number): number {
  return 1 + erlangC(cores, loadRatio * cores) / (cores * (1 - loadRatio));
}

/** P(time in an M/M/k system > t), t in units of the mean service time: service, plus an exponential wait for those who wait. */
export function mmkTail(cores: number, loadRatio: number, t: number): number {
  const waits = erlangC(cores, loadRatio * cores);
  const gap = cores * (1 - loadRatio) - 1;
  // Where the two rates meet the difference quotient becomes a derivative.
  const excess = Math.abs(gap) < 1e-9 ? t : (1 - Math.exp(-gap * t)) / gap;
  return Math.exp(-t) * (1 + waits * excess);
}

/** The t that a share `tail` of the times in an M/M/k system exceeds. */
export function mmkQuantile(cores: number, loadRatio: number, tail: number): number {
  let low = 0;
  let high = 1;
  while (mmkTail(cores, loadRatio, high) > tail) high *= 2;
  for (let step = 0; step < 100; step++) {
    const middle = (low + high) / 2;
    if (mmkTail(cores, loadRatio, middle) > tail) low = middle;
    else high = middle;
  }
  return high;
}
