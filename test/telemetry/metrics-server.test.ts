import { createServer, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import {
  isLoopbackHost,
  startMetricsServer,
  type MetricsServer,
  type Page,
} from '../../src/telemetry/metrics-server.ts';
import { rawHttp } from './raw-http.ts';

const servers: MetricsServer[] = [];
let made = 0;
const PAGES: Readonly<Record<string, Page>> = {
  '/': { type: 'text/html', headers: { 'content-security-policy': "default-src 'none'" }, body: () => 'start' },
  '/metrics': { type: 'text/plain', body: () => `metrics ${++made}\n` },
  '/echo': { type: 'application/json', body: (query) => JSON.stringify(query.get('after')) },
};

async function start(host = '127.0.0.1'): Promise<MetricsServer> {
  const server = await startMetricsServer({ host, port: 0 }, PAGES);
  servers.push(server);
  return server;
}

const at = (server: MetricsServer) => ({ host: '127.0.0.1', port: Number(new URL(server.url).port) });

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

describe('the listener for metrics', () => {
  it('answers GET with what is true now, and HEAD with the same but the body', async () => {
    const { url } = await start();
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^metrics \d+\n$/);
    const head = await fetch(`${url}/metrics`, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(Number(head.headers.get('content-length'))).toBeGreaterThan(0);
    expect(await head.text()).toBe('');
    expect(await (await fetch(`${url}/echo?after=7&x=${'y'.repeat(500)}`)).json()).toBe('7');
  });

  it('answers 500 for a page that cannot be made, says why to its owner, and goes on', async () => {
    const said: string[] = [];
    const broken: Page = {
      type: 'text/plain',
      body: () => {
        throw new RangeError('no such bucket');
      },
    };
    const address = { host: '127.0.0.1', port: 0 };
    const server = await startMetricsServer(address, { ...PAGES, '/broken': broken }, ({ message }) =>
      said.push(message),
    );
    servers.push(server);
    const answer = await fetch(`${server.url}/broken`);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain('bucket');
    expect(said).toEqual(['make /broken: no such bucket']);
    expect((await fetch(`${server.url}/metrics`)).status).toBe(200);
  });

  it('lets nobody keep, sniff or embed what it says', async () => {
    const { url } = await start();
    const { headers } = await fetch(url);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toBe("default-src 'none'");
    expect(headers.get('access-control-allow-origin')).toBeNull();
  });

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('refuses %s: nothing can be changed here', async (method) => {
    const { url } = await start();
    const answer = await fetch(`${url}/metrics`, { method });
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe('GET, HEAD');
  });

  it.each(['/nowhere', '/metrics/', '/constructor', '/v1/pause', '//metrics', '/%00'])('has no %s', async (path) => {
    const answer = await rawHttp(
      at(await start()),
      `GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 404 /);
    expect(answer).toContain('expected /, /metrics');
  });

  it('answers to its addresses and to localhost, so that no name can be bent to it', async () => {
    const server = await start();
    const status = async (host: string) =>
      (await rawHttp(at(server), `GET /metrics HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)).slice(9, 12);
    for (const host of ['localhost', 'localhost:9750', '127.0.0.1:9750', '[::1]:9750', '10.0.0.1']) {
      expect(await status(host), host).toBe('200');
    }
    for (const host of ['evil.example', 'localhost.evil.example:9750', 'localhost:x', '']) {
      expect(await status(host), host).toBe('421');
    }
  });

  it('says which address is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((done) => other.once('listening', done));
    const { port } = other.address() as AddressInfo;
    await expect(startMetricsServer({ host: '127.0.0.1', port }, PAGES)).rejects.toMatchObject({
      code: 'address-in-use',
      message: `listen on 127.0.0.1:${port}: another program does`,
    });
    other.close();
  });

  it('says why it cannot have an address', async () => {
    await expect(startMetricsServer({ host: '192.0.2.1', port: 0 }, PAGES)).rejects.toMatchObject({
      code: 'address-refused',
      message: expect.stringContaining('listen on 192.0.2.1:0: ') as string,
    });
  });

  it('knows which hosts only this machine can reach', () => {
    expect(['127.0.0.1', '127.8.9.1', '::1', 'localhost'].every(isLoopbackHost)).toBe(true);
    expect(['0.0.0.0', '::', '10.0.0.1', '127.evil.example', 'example.org', ''].some(isLoopbackHost)).toBe(false);
  });
});

describe('hostile clients of the listener', () => {
  it.each([
    ['no HTTP', 'hello\r\n\r\n', '400'],
    ['a huge header', `GET /metrics HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`, '431'],
    ['a huge path', `GET /${'y'.repeat(100_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`, '431'],
    ['a path that is none', 'GET http://[ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n', '404'],
    [
      'an endless body',
      `POST /metrics HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999999999\r\n\r\n${'z'.repeat(1e6)}`,
      '405',
    ],
    ['two lengths', 'GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx', '400'],
  ])('are refused and disconnected after %s', async (_, text, status) => {
    const server = await start();
    expect((await rawHttp(at(server), text)).slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
    expect((await fetch(`${server.url}/metrics`)).status).toBe(200);
  });
});
