import type { ListenOptions } from 'node:net';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';

/** How much one HTTP server lets its clients take: whoever connects may be slow, silent, many or hostile. */
export interface ServerLimits {
  /** A whole request must have come within this time of its connection, or of the answer before it; or within half as much again. */
  readonly requestMs: number;
  /** A connection on which nothing moves for so long while an answer is made or taken is closed. */
  readonly answerMs: number;
  /** How long a connection may wait for its next request. */
  readonly keepAliveMs: number;
  /** More are closed as they come. */
  readonly connections: number;
}

const MOST_HEADER_BYTES = 8_192;
/** Not listening yet: see `listening`. */
export function boundedServer(limits: ServerLimits, handler: RequestListener): Server {
  const server = createServer(
    {
      headersTimeout: limits.requestMs,
      requestTimeout: limits.requestMs,
      // Node looks for requests that are over their time so often, whether there is one or not: a wake-up each time.
      connectionsCheckingInterval: limits.requestMs / 2,
      keepAliveTimeout: limits.keepAliveMs,
      maxHeaderSize: MOST_HEADER_BYTES,
    },
    (request, response) => {
      // No route reads a body, and to go on after one would mean to read an endless one to its end.
      const { 'content-length': length = '0', 'transfer-encoding': encoding } = request.headers;
      if (Number(length) > 0 || encoding !== undefined) response.shouldKeepAlive = false;
      handler(request, response);
    },
  );
  server.timeout = limits.answerMs;
  server.maxConnections = limits.connections;
  return server;
}

/**
 * @param onError told later of connections that could not be accepted, for want of descriptors for instance: no reason to end
 * @throws what keeps it from listening
 */
export async function listening(server: Server, where: ListenOptions, onError: (error: Error) => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', onError);
}

/** What is asked for; null where it is no path, as in a request to a proxy. */
export function requestUrl({ url = '' }: IncomingMessage): URL | null {
  const text = `http://here${url}`;
  return url.startsWith('/') && URL.canParse(text) ? new URL(text) : null;
}
