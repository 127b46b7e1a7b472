import { request } from 'node:http';
import { TailgovError } from '../core/errors.ts';
import type { TickReport } from '../core/tick-report.ts';
import type { DaemonStatus, PolicySwap } from './daemon-status.ts';
import type { DaemonTotals } from './daemon-totals.ts';

/** The daemon's control socket cannot be reached, or said no. */
export class ControlError extends TailgovError<'not-running' | 'no-permission' | 'refused'> {}

/** Asks a daemon through its control socket. Every call rejects with ControlError. */
export interface ControlClient {
  status(): Promise<DaemonStatus>;
  ticksAfter(tick: number): Promise<readonly TickReport[]>;
  totals(): Promise<DaemonTotals>;
  /**
   * Full speed until every holder has ended their pause.
   * @param forMs ends by itself after so long, unless asked again; absent: when it is ended
   * @param by whose it is, a program's name for itself; absent: an operator's
   */
  pause(forMs?: number, by?: string): Promise<DaemonStatus>;
  /** @param by whose pause ends; absent: everybody's */
  resume(by?: string): Promise<DaemonStatus>;
  /**
   * @param file an absolute path; `persist` writes it into the config
   * @param forMs what governed before comes back by itself after so long, unless asked again; absent: it does not
   */
  swapPolicy(service: string, file: string, persist: boolean, forMs?: number): Promise<PolicySwap>;
}

export function controlClient(socketPath: string): ControlClient {
  return {
    status: async () => (await ask(socketPath, 'GET', '/v1/status')) as DaemonStatus,
    ticksAfter: async (tick) =>
      ((await ask(socketPath, 'GET', `/v1/ticks?after=${tick}`)) as { ticks: readonly TickReport[] }).ticks,
    totals: async () => (await ask(socketPath, 'GET', '/v1/totals')) as DaemonTotals,
    pause: async (forMs, by) =>
      (await ask(socketPath, 'POST', `/v1/pause${queryOf({ for: lifetime(forMs), by })}`)) as DaemonStatus,
    resume: async (by) => (await ask(socketPath, 'POST', `/v1/resume${queryOf({ by })}`)) as DaemonStatus,
    swapPolicy: async (service, file, persist, forMs) => {
      const query = queryOf({ service, file, persist: String(persist), for: lifetime(forMs) });
      return (await ask(socketPath, 'POST', `/v1/policy${query}`)) as PolicySwap;
    },
  };
}

const lifetime = (ms: number | undefined) => (ms === undefined ? undefined : `${Math.ceil(ms)}ms`);

function queryOf(parameters: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(parameters).flatMap(([key, value]): [string, string][] =>
    value === undefined ? [] : [[key, value]],
  );
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
}

const TIMEOUT_MS = 5000;

function ask(socketPath: string, method: 'GET' | 'POST', path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    // A connection of its own: one that is kept may be closed by the daemon just as it is used again.
    const call = request({ socketPath, method, path, timeout: TIMEOUT_MS, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        const body = JSON.parse(text) as { error?: string };
        if (response.statusCode === 200) resolve(body);
        else reject(new ControlError('refused', body.error ?? `the daemon answered ${response.statusCode}`));
      });
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
    call.on('error', (error: NodeJS.ErrnoException) => reject(unreachable(socketPath, error)));
    call.end();
  });
}

function unreachable(socketPath: string, error: NodeJS.ErrnoException): ControlError {
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new ControlError('not-running', `no daemon listens on ${socketPath}: start one with \`tailgov run\``);
    case 'EACCES':
      return new ControlError(
        'no-permission',
        `may not use ${socketPath}: only the daemon's own user may, try as root`,
      );
    default:
      return new ControlError('refused', `asking the daemon at ${socketPath} failed: ${error.message}`);
  }
}
