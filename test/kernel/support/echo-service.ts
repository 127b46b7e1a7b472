import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterAll, beforeAll } from 'vitest';
import { configOf, type Governed } from './daemon.ts';

/** A server in this process that sends back what it is sent, for daemons to govern. */
export interface EchoService {
  /** There once the file's tests run. */
  readonly port: number;
  /** A config that governs it. @param more lines for its end */
  readonly config: (how?: Omit<Governed, 'port'>, more?: string) => string;
}

/** To be called once, at the top of a test file. */
export function echoService(): EchoService {
  let server: Server;
  beforeAll(async () => {
    server = createServer((socket) => socket.on('data', (data) => socket.write(data))).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterAll(() => void server.close());
  const port = () => (server.address() as AddressInfo).port;
  return {
    get port() {
      return port();
    },
    config: (how, more) => configOf({ ...how, port: port() }, more),
  };
}
