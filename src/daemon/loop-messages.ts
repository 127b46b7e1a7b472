import type { OnExit, RestoredControl } from '../core/actuator.ts';
import type { ConfigSources } from '../policy/config-loader.ts';
import type { Scheduling } from './claim-cpu.ts';
import type { LoopIdentity } from '../telemetry/daemon-status.ts';
import type { TimesMessage } from '../telemetry/metrics-times.ts';

/** What the loop thread is started with. */
export interface LoopThreadData {
  /** The config and its policies, as the main thread has read and checked them. */
  readonly sources: ConfigSources;
  readonly dryRun: boolean;
  /** In dry run: where every request is recorded. */
  readonly record?: { readonly file: string; readonly limitBytes: number };
  readonly sysfsRoot: string;
  readonly journalPath: string;
  readonly scheduling: Scheduling;
  /** An eventfd: written by the main thread after each message. */
  readonly wakeFd: number;
  /** One Int32: counts the loop's wake-ups. */
  readonly heartbeat: SharedArrayBuffer;
}

/** Ticks of one and the same second and services, oldest first. */
export interface TicksMessage {
  readonly type: 'ticks';
  readonly ticks: readonly {
    /** A TickReport in JSON: it is kept so, and most of them are never looked at again. */
    readonly report: string;
    /** Ticks that were due and did not happen, since the start. */
    readonly missed: number;
    readonly wallMs: number;
  }[];
  /** The services' times of all these ticks, in the order of the reports; null where nothing completed. */
  readonly times: readonly (TimesMessage | null)[];
}

export type ToLoop =
  /** `tell`: what is held back of ticks. */
  | { readonly type: 'pause' | 'resume' | 'tell'; readonly id: number }
  | { readonly type: 'change'; readonly id: number; readonly sources: ConfigSources }
  | { readonly type: 'stop' };

export type FromLoop =
  | { readonly type: 'ready'; readonly identity: LoopIdentity; readonly intervalMs: number; readonly onExit: OnExit }
  /** CPUs have come or gone, or another sensor measures. */
  | { readonly type: 'identity'; readonly identity: LoopIdentity }
  | TicksMessage
  | { readonly type: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string }
  /** `error`: it could not be done, and nothing has changed. */
  | { readonly type: 'done'; readonly id: number; readonly error?: string }
  | { readonly type: 'stopped'; readonly restored: readonly RestoredControl[] }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };
