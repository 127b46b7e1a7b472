import type { OnExit, RestoredControl } from '../core/actuator.ts';
import type { TickReport } from '../core/tick-report.ts';
import type { LoopIdentity } from '../telemetry/daemon-status.ts';

/** What the loop thread is started with. */
export interface LoopThreadData {
  readonly role: 'tailgov-loop';
  readonly configFile: string;
  readonly dryRun: boolean;
  readonly sysfsRoot: string;
  readonly journalPath: string;
  /** An eventfd: written by the main thread after each message. */
  readonly wakeFd: number;
  /** One Int32: counts the loop's wake-ups. */
  readonly heartbeat: SharedArrayBuffer;
}

export type ToLoop = { readonly type: 'pause' | 'resume'; readonly id: number } | { readonly type: 'stop' };

export type FromLoop =
  | { readonly type: 'ready'; readonly identity: LoopIdentity; readonly intervalMs: number; readonly onExit: OnExit }
  | { readonly type: 'tick'; readonly report: TickReport; readonly missed: number }
  | { readonly type: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string }
  | { readonly type: 'done'; readonly id: number }
  | { readonly type: 'stopped'; readonly restored: readonly RestoredControl[] }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };
