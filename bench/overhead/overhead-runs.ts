export interface OverheadRun {
  readonly rps: number;
  readonly p99Us: number;
  /** CPU time of the process that reads, as a share of one CPU; 0 where nothing reads. */
  readonly readerRatio: number;
}

/** A way to measure, or `nothing`: a run a round. */
export interface WayRuns {
  readonly way: string;
  readonly runs: readonly OverheadRun[];
  /** What its programs take a request, all together: with what accounting and an empty program take, and without. */
  readonly nsARequest?: { readonly gross: number; readonly net: number };
}

export interface OverheadPart {
  readonly at: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly subjects: readonly { readonly subject: string; readonly ways: readonly WayRuns[] }[];
}

/** On this machine, and in the guest. */
export interface OverheadRuns {
  readonly here?: OverheadPart;
  readonly guest?: OverheadPart;
}
