/** A server to be observed: every connection to these local ports, in the network namespace of this process. */
export interface TargetSpec {
  readonly name: string;
  readonly ports: readonly number[];
  /** Requests over this are counted as `overSlo`. */
  readonly sloLatencyNs?: number;
  /** When the kernel is to wake us: at so many requests over the SLO in a window, at a read that waited so long. */
  readonly alarm?: { readonly lateBudget: number; readonly waitBudgetNs: number };
}
