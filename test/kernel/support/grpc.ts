import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type ServerHttp2Stream,
  type ServerHttp2Session,
} from 'node:http2';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A gRPC server over Node's HTTP/2: length-prefixed messages, and trailers with the status. */
export interface GrpcServer {
  readonly port: number;
  stop(): Promise<void>;
}

type Method = (call: ServerHttp2Stream) => unknown;

const message = (text: string): Buffer => {
  const bytes = Buffer.alloc(5 + text.length);
  bytes.writeUInt32BE(text.length, 1);
  bytes.write(text, 5);
  return bytes;
};

const HEADERS = { ':status': 200, 'content-type': 'application/grpc' };

/** Begins a response whose trailers tell that all went well. */
export function respond(call: ServerHttp2Stream): { send(text: string): void; end(): void } {
  call.respond(HEADERS, { waitForTrailers: true });
  call.on('wantTrailers', () => call.sendTrailers({ 'grpc-status': '0' }));
  return { send: (text) => call.write(message(text)), end: () => call.end() };
}

/** Answers one message with one, once it has come whole. */
export const unary = (call: ServerHttp2Stream) => {
  call.on('end', () => {
    const reply = respond(call);
    reply.send('world');
    reply.end();
  });
};

export async function startGrpc(methods: Readonly<Record<string, Method>>): Promise<GrpcServer> {
  const server: Http2Server = createServer();
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (call, headers) => {
    call.on('error', () => undefined);
    call.resume();
    void methods[headers[':path']!]!(call);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      for (const session of sessions) session.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

export class GrpcClient {
  readonly session: ClientHttp2Session;

  constructor(port: number) {
    this.session = connect(`http://127.0.0.1:${port}`);
    this.session.on('error', () => undefined);
  }

  /** Sends one message and waits for the trailers. @returns the status, and the bytes of all messages */
  async call(path: string): Promise<{ readonly status: unknown; readonly bytes: number }> {
    const call = this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let status: unknown;
    let bytes = 0;
    call.on('trailers', (trailers: IncomingHttpHeaders) => (status = trailers['grpc-status']));
    call.on('data', (chunk: Buffer) => (bytes += chunk.length));
    call.end(message('hello'));
    await once(call, 'close');
    return { status, bytes };
  }

  async close(): Promise<void> {
    if (this.session.destroyed) return;
    this.session.destroy();
    await once(this.session, 'close');
  }
}
