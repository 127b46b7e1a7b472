import type { CpuId } from '../core/units.ts';
import type { Arrivals } from './arrivals.ts';
import type { Distribution } from './distribution.ts';
import type { LoadTrace } from './load-trace.ts';

/** One simulated service. Plain data. */
export interface ServiceModel {
  readonly name: string;
  readonly sloLatencyNs: number;
  readonly arrivals: Arrivals;
  /** How the load changes over time; absent: it does not. */
  readonly trace?: LoadTrace;
  /** Time that a request occupies a core when the core runs at the server's highest frequency. */
  readonly demand: Distribution;
  /** The share of the demand that takes cycles, and so grows as 1/f; the rest (memory, devices) holds the core all the same. */
  readonly frequencyBoundRatio: number;
  /**
   * Time that a request waits for others (a disk, another service) besides, as a multiple of its demand; 0 where not given.
   * It comes after the demand, holds no core and depends on no frequency. Such a request no longer counts as in flight.
   */
  readonly offCoreRatio?: number;
  /**
   * `central`: one queue, any free core takes the oldest. `connection-hash`: each connection belongs to a core and waits
   * for that core, though others be free.
   */
  readonly dispatch: { readonly kind: 'central' } | { readonly kind: 'connection-hash'; readonly connections: number };
  /** The CPUs that it may use at the start; absent: all. */
  readonly cpus?: readonly CpuId[];
}

/** Time that a core needs at a frequency for one unit of demand, which is stated at the machine's highest. */
export function slowdownAt(frequencyKhz: number, highestKhz: number, frequencyBoundRatio: number): number {
  return (frequencyBoundRatio * highestKhz) / frequencyKhz + (1 - frequencyBoundRatio);
}
