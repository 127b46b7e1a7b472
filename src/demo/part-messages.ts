import type { CoreSpan } from './modelled-core.ts';

/** What the demo's child processes and the demo say to each other over Node's IPC channel. */
export type FromPart =
  /** Any part: it is ready for what comes next. */
  | { readonly kind: 'ready' }
  /** server */
  | { readonly kind: 'listening'; readonly port: number }
  | {
      readonly kind: 'spans';
      readonly spans: readonly CoreSpan[];
      /** How long it has been ready without a CPU since it began, in ms; null where the kernel does not tell. */
      readonly cpuWaitMs: number | null;
    }
  /** load */
  | { readonly kind: 'started'; readonly atMs: number }
  | { readonly kind: 'load-result'; readonly result: LoadResult };

/** load */
export type ToLoad =
  | { readonly kind: 'warm-up'; readonly port: number; readonly cycles: number }
  | { readonly kind: 'run'; readonly dueMs: Float64Array; readonly cycles: Float64Array };

/** What the client saw, request by request, in the order of the schedule. */
export interface LoadResult {
  /** How much later than due the request was written, in ms. */
  readonly lateMs: Float64Array;
  /** From the write to the last byte of the reply, in ms; NaN where no reply came. */
  readonly latencyMs: Float64Array;
  readonly failures: number;
  /** Connections that were open at the end: more than at the start where all were busy. */
  readonly connections: number;
}
