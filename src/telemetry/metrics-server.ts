import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { isIP, type AddressInfo } from 'node:net';
import { messageOf, TailgovError } from '../core/errors.ts';
import { boundedServer, listening, requestUrl } from './bounded-server.ts';

/** The address for metrics cannot be listened on. */
class ListenError extends TailgovError<'address-in-use' | 'address-refused'> {}

/** What the listener answers on one path; made anew for each request. */
export interface Page {
  readonly type: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: (query: URLSearchParams) => string;
}

export interface MetricsServer {
  /** `http://127.0.0.1:9750` */
  readonly url: string;
  close(): void;
}

/** Prometheus comes back every 15 s or so on the same connection. */
const LIMITS = { requestMs: 5_000, answerMs: 10_000, keepAliveMs: 75_000, connections: 64 };

/**
 * Serves pages for reading, and nothing else: GET and HEAD. It knows no secret and changes nothing.
 *
 * @param onError told of connections that could not be accepted, and of pages that could not be made: no reason to end
 * @throws ListenError where the address cannot be had
 */
export async function startMetricsServer(
  address: { readonly host: string; readonly port: number },
  pages: Readonly<Record<string, Page>>,
  onError: (error: Error) => void = () => undefined,
): Promise<MetricsServer> {
  const handler: RequestListener = (request, response) =>
    answer(request, response, { pages, loopbackOnly: isLoopback(server), onError });
  const server = boundedServer(LIMITS, handler);
  try {
    await listening(server, address, onError);
  } catch (error) {
    const where = `listen on ${address.host}:${address.port}`;
    throw (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
      ? new ListenError('address-in-use', `${where}: another program does`, { cause: error })
      : new ListenError('address-refused', `${where}: ${messageOf(error)}`, { cause: error });
  }
  const { address: host, family, port } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${host}]` : host}:${port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** True where only this machine can reach the host. */
export const isLoopbackHost = (host: string) => host === 'localhost' || host === '::1' || /^127\.[\d.]+$/.test(host);

const isLoopback = (server: Server) => isLoopbackHost((server.address() as AddressInfo | null)?.address ?? '');

interface Answering {
  readonly pages: Readonly<Record<string, Page>>;
  readonly loopbackOnly: boolean;
  readonly onError: (error: Error) => void;
}

function answer(request: IncomingMessage, response: ServerResponse, { pages, loopbackOnly, onError }: Answering): void {
  const send = (status: number, type: string, body: string, headers: Readonly<Record<string, string>> = {}) => {
    response.writeHead(status, {
      'content-type': type,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
      ...headers,
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  const refuse = (status: number, message: string, headers?: Readonly<Record<string, string>>) =>
    send(status, 'text/plain; charset=utf-8', `${message}\n`, headers);

  // A page elsewhere whose name is made to point here (DNS rebinding) would be let in by the browser: not by us.
  if (loopbackOnly && !isLocalName(request.headers.host)) {
    return refuse(421, 'this address answers to localhost and to IP addresses only');
  }
  const url = requestUrl(request);
  const page = url !== null && Object.hasOwn(pages, url.pathname) ? pages[url.pathname] : undefined;
  if (url === null || page === undefined) return refuse(404, `not here; expected ${Object.keys(pages).join(', ')}`);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return refuse(405, 'this is for reading: expected GET or HEAD', { allow: 'GET, HEAD' });
  }
  let body: string;
  try {
    body = page.body(url.searchParams);
  } catch (error) {
    onError(new Error(`make ${url.pathname}: ${messageOf(error)}`, { cause: error }));
    return refuse(500, 'this page could not be made; the log says why');
  }
  send(200, page.type, body, page.headers);
}

/** @param host what the client takes us for: `localhost:9750`, `127.0.0.1:9750`, `[::1]:9750` */
function isLocalName(host: string | undefined): boolean {
  const name = (host ?? '').replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return name === 'localhost' || isIP(name) !== 0;
}
