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

/** To look is quick. To change something can take a while: another config can mean that the sensor is loaded anew. */
const TIMEOUT_MS = { GET: 5_000, POST: 30_000 } as const;

function ask(socketPath: string, method: keyof typeof TIMEOUT_MS, path: string): Promise<unknown> {
  const timeout = TIMEOUT_MS[method];
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) => reject(unreachable(socketPath, error));
    // A connection of its own: one that is kept may be closed by the daemon just as it is used again.
    const call = request({ socketPath, method, path, timeout, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      // A daemon that ends amid its answer.
      response.on('error', fail);
      response.on('end', () => {
        const body = parsed(text);
        if (response.statusCode === 200 && body !== undefined) resolve(body);
        else reject(new ControlError('refused', body?.error ?? unexpected(socketPath, response.statusCode)));
      });
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${timeout / 1000} s`)));
    call.on('error', fail);
    call.end();
  });
}

/** undefined where it is no JSON: limits on connections are answered by the server itself, and others may listen here. */
function parsed(text: string): { readonly error?: string } | undefined {
  try {
    return JSON.parse(text) as { error?: string };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const unexpected = (socketPath: string, status: number | undefined) =>
  `${socketPath} answered ${status} without a reason, expected the answer of a daemon`;

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
