import { chmodSync, rmSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { messageOf, PolicyError, UsageError } from '../core/errors.ts';
import { NS_PER_MS, parseDurationNs } from '../core/units.ts';
import { boundedServer, listening, requestUrl } from './bounded-server.ts';
import type { DaemonStatus, PolicySwap } from './daemon-status.ts';
import type { DaemonTotals } from './daemon-totals.ts';

/** What the control socket can ask of the daemon. */
export interface ControlTarget {
  status(): DaemonStatus | Promise<DaemonStatus>;
  /** TickReports, each in JSON. */
  ticksAfter(tick: number): readonly string[] | Promise<readonly string[]>;
  totals(): DaemonTotals | Promise<DaemonTotals>;
  /**
   * Resolves when the machine is at full speed. It stays there until every holder has ended their pause.
   * @param forMs ends by itself after so long, unless asked again; null: when it is ended
   * @param by whose it is; null: an operator's
   */
  pause(forMs: number | null, by: string | null): Promise<void>;
  /** @param by whose pause ends; null: everybody's */
  resume(by: string | null): Promise<void>;
  /**
   * @param file an absolute path
   * @param persist writes the file's name into the config, so that it lasts past a restart
   * @param forMs what governed before comes back by itself after so long, unless asked again; null: it does not
   * @throws PolicyError for a bad file; UsageError for a service that is not governed
   */
  swapPolicy(service: string, file: string, persist: boolean, forMs: number | null): Promise<PolicySwap>;
}

type Route = (target: ControlTarget, query: URLSearchParams) => unknown;

const ROUTES: Readonly<Record<string, Route>> = {
  'GET /v1/status': (target) => target.status(),
  'GET /v1/ticks': async (target, query) => {
    const ticks = await target.ticksAfter(tickNumber(query.get('after')));
    return new Json(`{"ticks":[${ticks.join()}]}`);
  },
  'GET /v1/totals': (target) => target.totals(),
  'POST /v1/pause': async (target, query) => {
    await target.pause(lifetimeMs(query.get('for')), holder(query.get('by')));
    return target.status();
  },
  'POST /v1/resume': async (target, query) => {
    await target.resume(holder(query.get('by')));
    return target.status();
  },
  'POST /v1/policy': (target, query) => {
    const persist = query.get('persist') === 'true';
    const forMs = lifetimeMs(query.get('for'));
    if (persist && forMs !== null) throw new BadRequest('persist=true with for=...: expected one of them');
    return target.swapPolicy(given(query, 'service'), given(query, 'file'), persist, forMs);
  },
};

class BadRequest extends Error {}

/** An answer that is text already. */
class Json {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** An answer may take a while: to exchange a policy can mean to load the sensor anew. */
const LIMITS = { requestMs: 5_000, answerMs: 30_000, keepAliveMs: 5_000, connections: 32 };
/** What the kernel takes for the address of a Unix socket, less the zero at its end. */
const LONGEST_PATH_BYTES = 107;
/** What a timer of Node can hold is 24.8 days. */
const LONGEST_LIFETIME_MS = 24 * 86_400_000;

/**
 * HTTP and JSON on a Unix socket that only its owner may use; docs/control-socket.md describes it. Errors answer
 * `{ "error": "what is wrong" }`.
 *
 * @param onError told of connections that could not be accepted
 * @throws UsageError for a path that is too long for a socket; Error when it cannot be bound
 */
export async function startControlServer(
  socketPath: string,
  target: ControlTarget,
  onError: (error: Error) => void = () => undefined,
): Promise<Server> {
  const pathBytes = Buffer.byteLength(socketPath);
  if (pathBytes > LONGEST_PATH_BYTES) {
    const limit = `${pathBytes} bytes long, expected at most ${LONGEST_PATH_BYTES}: give a shorter --runtime`;
    throw new UsageError(`the path of the control socket, ${socketPath}, is ${limit}`);
  }
  const server = boundedServer(LIMITS, (request, response) => void answer(request, response, target));
  // A socket file that nobody listens on is left by a daemon that was killed; the caller has made sure that none is alive.
  rmSync(socketPath, { force: true });
  const umask = process.umask(0o177);
  try {
    await listening(server, { path: socketPath }, onError);
  } finally {
    process.umask(umask);
  }
  chmodSync(socketPath, 0o600);
  return server;
}

async function answer(request: IncomingMessage, response: ServerResponse, target: ControlTarget): Promise<void> {
  try {
    const url = requestUrl(request);
    if (url === null) throw new BadRequest(`${request.url}: expected a path`);
    const route = ROUTES[`${request.method} ${url.pathname}`];
    if (route === undefined) {
      const known = Object.keys(ROUTES);
      const isPath = known.some((each) => each.endsWith(` ${url.pathname}`));
      const message = `no ${request.method} ${url.pathname} here, expected one of: ${known.join(', ')}`;
      send(response, isPath ? 405 : 404, { error: message });
      return;
    }
    send(response, 200, await route(target, url.searchParams));
  } catch (error) {
    const ofTheAsker = error instanceof BadRequest || error instanceof UsageError || error instanceof PolicyError;
    send(response, ofTheAsker ? 400 : 500, { error: messageOf(error) });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = `${body instanceof Json ? body.text : JSON.stringify(body)}\n`;
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

function given(query: URLSearchParams, key: string): string {
  const value = query.get(key);
  if (value === null || value === '') throw new BadRequest(`no ${key} given: expected ${key}=...`);
  return value;
}

function lifetimeMs(text: string | null): number | null {
  if (text === null) return null;
  const ms = (parseDurationNs(text) ?? 0) / NS_PER_MS;
  if (ms >= 1 && ms <= LONGEST_LIFETIME_MS) return ms;
  throw new BadRequest(`for=${text}: expected a time of 1ms to 24d, such as 30s`);
}

function holder(name: string | null): string | null {
  if (name === null || /^[\w.-]{1,64}$/.test(name)) return name;
  throw new BadRequest(`by=${name}: expected up to 64 letters, digits, dots, dashes and underscores`);
}

function tickNumber(text: string | null): number {
  const tick = text === null ? -1 : Number(text);
  if (!Number.isInteger(tick)) throw new BadRequest(`after=${text}: expected the number of a tick`);
  return tick;
}
