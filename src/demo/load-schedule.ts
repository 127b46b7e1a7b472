import { Random } from '../plant/random.ts';

/** A corner of a load profile; straight lines in between. */
export interface LoadPoint {
  /** Where in the run, as a share of its length, 0..1. */
  readonly at: number;
  /** Offered load as a share of the server's capacity at full speed. */
  readonly load: number;
}

/** Quiet, a rise, a plateau, a sudden burst, and quiet again. */
export const DEMO_PROFILE: readonly LoadPoint[] = [
  { at: 0, load: 0.15 },
  { at: 0.15, load: 0.15 },
  { at: 0.4, load: 0.6 },
  { at: 0.6, load: 0.6 },
  { at: 0.6, load: 0.75 },
  { at: 0.7, load: 0.75 },
  { at: 0.7, load: 0.2 },
  { at: 1, load: 0.2 },
];

/** The requests of one run: when each is due, and what it costs. Same index, same request; times ascend. */
export interface LoadSchedule {
  /** From the start of the run. */
  readonly dueMs: Float64Array;
  /** CPU cycles. */
  readonly cycles: Float64Array;
}

export interface LoadOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly profile: readonly LoadPoint[];
  /** Requests a second that the server can do at full speed. */
  readonly capacityRps: number;
  readonly meanCycles: number;
  /** Spread of the cost: the standard deviation of its logarithm. Costs are log-normal. */
  readonly cyclesSigma: number;
}

/** Load at a share of the run; at a jump the later value. */
export function loadAt(profile: readonly LoadPoint[], at: number): number {
  const next = profile.findIndex((point) => point.at > at);
  if (next === -1) return profile.at(-1)?.load ?? 0;
  if (next === 0) return profile[0]!.load;
  const [from, to] = [profile[next - 1]!, profile[next]!];
  return from.load + ((at - from.at) / (to.at - from.at)) * (to.load - from.load);
}

/** A Poisson process whose rate follows the profile, by thinning (Lewis and Shedler, 1979). The seed settles all of it. */
export function scheduleLoad(options: LoadOptions): LoadSchedule {
  const { durationMs, profile, capacityRps, meanCycles, cyclesSigma } = options;
  const arrivals = new Random(options.seed, 'demo arrivals');
  const costs = new Random(options.seed, 'demo costs');
  const highestLoad = Math.max(0, ...profile.map((point) => point.load));
  const dueMs: number[] = [];
  const cycles: number[] = [];
  if (highestLoad === 0) return { dueMs: new Float64Array(), cycles: new Float64Array() };
  const meanGapMs = 1000 / (capacityRps * highestLoad);
  for (let atMs = meanGapMs * arrivals.nextExponential(); atMs < durationMs;) {
    if (arrivals.nextUnit() * highestLoad < loadAt(profile, atMs / durationMs)) {
      dueMs.push(atMs);
      // The mean of a log-normal is e^(σ²/2) times its median.
      cycles.push(Math.round(meanCycles * Math.exp(cyclesSigma * costs.nextNormal() - cyclesSigma ** 2 / 2)));
    }
    atMs += meanGapMs * arrivals.nextExponential();
  }
  return { dueMs: Float64Array.from(dueMs), cycles: Float64Array.from(cycles) };
}
