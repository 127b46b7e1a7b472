import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { messageOf } from '../core/errors.ts';
import type { TickReport } from '../core/tick-report.ts';
import type { DaemonStatus } from './daemon-status.ts';

/** What the control socket can ask of the daemon. */
export interface ControlTarget {
  status(): DaemonStatus;
  ticksAfter(tick: number): readonly TickReport[];
  /** Resolves when the machine is at full speed. */
  pause(): Promise<void>;
  resume(): Promise<void>;
}

type Route = (target: ControlTarget, query: URLSearchParams) => unknown;

const ROUTES: Readonly<Record<string, Route>> = {
  'GET /v1/status': (target) => target.status(),
  'GET /v1/ticks': (target, query) => ({ ticks: target.ticksAfter(tickNumber(query.get('after'))) }),
  'POST /v1/pause': async (target) => {
    await target.pause();
    return target.status();
  },
  'POST /v1/resume': async (target) => {
    await target.resume();
    return target.status();
  },
};

class BadRequest extends Error {}

/**
 * HTTP and JSON on a Unix socket that only its owner may use. Errors answer `{ "error": "what is wrong" }`.
 *
 * @throws when the socket cannot be bound
 */
export async function startControlServer(socketPath: string, target: ControlTarget): Promise<Server> {
  const server = createServer({ requestTimeout: 5000, headersTimeout: 5000 }, (request, response) => {
    void answer(request, response, target);
  });
  server.maxConnections = 64;
  // A socket file that nobody listens on is left by a daemon that was killed; the caller has made sure that none is alive.
  rmSync(socketPath, { force: true });
  const umask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socketPath, resolve);
    });
  } finally {
    process.umask(umask);
  }
  chmodSync(socketPath, 0o600);
  return server;
}

async function answer(request: IncomingMessage, response: ServerResponse, target: ControlTarget): Promise<void> {
  try {
    const url = new URL(request.url ?? '/', 'http://control');
    const route = ROUTES[`${request.method} ${url.pathname}`];
    if (route === undefined) {
      const known = Object.keys(ROUTES).join(', ');
      send(response, 404, { error: `no ${request.method} ${url.pathname} here, expected one of: ${known}` });
      return;
    }
    send(response, 200, await route(target, url.searchParams));
  } catch (error) {
    send(response, error instanceof BadRequest ? 400 : 500, { error: messageOf(error) });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

function tickNumber(text: string | null): number {
  const tick = text === null ? -1 : Number(text);
  if (!Number.isInteger(tick)) throw new BadRequest(`after=${text}: expected the number of a tick`);
  return tick;
}
