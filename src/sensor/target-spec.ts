import type { Protocol } from '../core/sensor.ts';
import type { TargetPlace } from '../core/target-place.ts';

/** A server to be observed: every connection that it accepts. */
export interface TargetSpec extends TargetPlace {
  readonly name: string;
  /**
   * `auto` where not given. `udp`: datagrams to plain ports, each a request that the next datagram to its sender answers; the
   * others are of connections.
   */
  readonly protocol?: Protocol | 'udp';
  /** Requests over this are counted as `overSlo`. */
  readonly sloLatencyNs?: number;
  /** When the kernel is to wake us: at so many requests over the SLO in a window, at a read that waited so long. */
  readonly alarm?: { readonly lateBudget: number; readonly waitBudgetNs: number };
}
