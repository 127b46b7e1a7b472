import type { ControllerInput, Observation } from '../../src/core/controller.ts';
import type { Slo } from '../../src/core/slo.ts';
import { NS_PER_MS } from '../../src/core/units.ts';

/** p99 ≤ 20 ms over a minute. */
export const SLO: Slo = { quantile: 0.99, latencyNs: 20 * NS_PER_MS, windowMs: 60_000 };

/** A quiet active service: 300 requests in a second, none over the SLO, half busy. */
export function observation(changes: Partial<Observation> = {}): Observation {
  return {
    health: 'active',
    alarmed: false,
    windowMs: 1000,
    requests: 300,
    overSlo: 0,
    quantileNs: 16 * NS_PER_MS,
    medianNs: 3 * NS_PER_MS,
    socketWaitNs: 2 * NS_PER_MS,
    handlingTimeNs: 2 * NS_PER_MS,
    handlingQuantileNs: 8 * NS_PER_MS,
    handlingVariability: 2,
    latest: { windowMs: 100, arrivals: 30, requests: 30, overSlo: 0, quantileNs: 10 * NS_PER_MS },
    inFlight: 1,
    oldestInFlightNs: NS_PER_MS,
    throughputRps: 300,
    utilization: 0.5,
    demandNs: null,
    ...changes,
  };
}

/** A step 100 ms after the last, with the machine at half of full capacity. */
export function input(
  changes: Partial<Observation> = {},
  rest: Partial<Omit<ControllerInput, 'observation'>> = {},
): ControllerInput {
  return {
    slo: SLO,
    observation: observation(changes),
    elapsedMs: 100,
    appliedLevel: 0.5,
    limits: { min: 0.2, max: 1 },
    ...rest,
  };
}
