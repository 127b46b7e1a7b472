import type { Clock } from '../core/clock.ts';
import { NS_PER_MS, NS_PER_US } from '../core/units.ts';
import { NativeError } from '../native/native-error.ts';
import { notify } from '../native/notify.ts';

/** What systemd, or another manager that speaks sd_notify(3), is told. Each call does nothing where there is none. */
export interface ServiceManager {
  /** Started, or reloaded. `status` is a line for humans, which `systemctl status` shows. */
  ready(status: string): void;
  status(status: string): void;
  /**
   * The loop moves: to be called whenever it was seen to. Reaches the manager at most once a quarter of the time after which
   * its watchdog restarts us, and at least every ten seconds for the sake of the status.
   */
  alive(status: () => string): void;
  /** `ready` ends it. */
  reloading(): void;
  stopping(status: string): void;
}

export interface ServiceManagerOptions {
  /** As the manager sets it: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly clock: Clock;
  /** Told once: a manager that does not hear us restarts us if it wants to. */
  readonly onUnheard: (error: NativeError) => void;
}

const LONGEST_SILENCE_MS = 10_000;

export function serviceManager({ environment, pid, clock, onUnheard }: ServiceManagerOptions): ServiceManager {
  const address = environment['NOTIFY_SOCKET'];
  const watchdogMs = watchdogOf(environment, pid);
  const periodNs = BigInt(Math.floor(Math.min(watchdogMs / 4, LONGEST_SILENCE_MS) * NS_PER_MS));
  let lastAliveNs: bigint | undefined;
  let unheard = false;

  function send(...assignments: readonly string[]): void {
    if (address === undefined || address === '') return;
    try {
      notify(address, assignments.join('\n'));
    } catch (error) {
      if (!(error instanceof NativeError)) throw error;
      if (!unheard) onUnheard(error);
      unheard = true;
    }
  }

  return {
    ready: (status) => send('READY=1', statusOf(status)),
    status: (status) => send(statusOf(status)),
    alive(status) {
      const nowNs = clock.monotonicNs();
      if (address === undefined || (lastAliveNs !== undefined && nowNs - lastAliveNs < periodNs)) return;
      lastAliveNs = nowNs;
      send(...(watchdogMs === Infinity ? [] : ['WATCHDOG=1']), statusOf(status()));
    },
    reloading: () => send('RELOADING=1', `MONOTONIC_USEC=${clock.monotonicNs() / BigInt(NS_PER_US)}`),
    stopping: (status) => send('STOPPING=1', statusOf(status)),
  };
}

/** The first line: each further one would be an assignment of its own. */
const statusOf = (status: string) => `STATUS=${status.split('\n', 1)[0]}`;

/** @returns Infinity where nobody watches this process */
function watchdogOf(environment: ServiceManagerOptions['environment'], pid: number): number {
  const { WATCHDOG_USEC: limit, WATCHDOG_PID: watched } = environment;
  if (limit === undefined || (watched !== undefined && watched !== String(pid))) return Infinity;
  const limitUs = Number(limit);
  return limitUs > 0 ? limitUs / 1000 : Infinity;
}
