/** A service's latency objective, such as p99 ≤ 5 ms over 1 min. */
export interface Slo {
  /** 0..1 */
  readonly quantile: number;
  readonly latencyNs: number;
  /** The compliance window. */
  readonly windowMs: number;
}

/** The share of requests that may be over the latency bound. */
export const toleratedRatio = (slo: Slo): number => 1 - slo.quantile;
