import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { boundedServer, listening, requestUrl } from '../../src/telemetry/bounded-server.ts';
import { closed, mute, rawHttp } from './raw-http.ts';

const LIMITS = { requestMs: 300, answerMs: 800, keepAliveMs: 500, connections: 5 };
const LARGE_BYTES = 50_000_000;
let server: Server;

async function start(handler: RequestListener = (_, response) => response.end('well')) {
  server = boundedServer(LIMITS, handler);
  await listening(server, { host: '127.0.0.1', port: 0 }, () => undefined);
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

const ask = (where: { host: string; port: number }) =>
  rawHttp(where, 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');

afterEach(() => {
  server.close();
  server.closeAllConnections();
});

describe('boundedServer()', () => {
  it('drops who says nothing, or says it bit by bit', async () => {
    const where = await start();
    const silent = await mute(where);
    const slow = await mute(where, 'GET / HTTP/1.1\r\nx: ');
    const drip = setInterval(() => slow.write('y'), 50);
    await Promise.all([closed(silent), closed(slow)]);
    clearInterval(drip);
    expect(await ask(where)).toContain('well');
  });

  it('drops who does not take the answer', { timeout: 60_000 }, async () => {
    let drop = () => {};
    const dropped = new Promise<void>((resolve) => (drop = resolve));
    const where = await start((_, response) => void response.on('close', drop).end('x'.repeat(LARGE_BYTES)));
    const greedy = await mute(where, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await dropped;
    let taken = 0;
    greedy.on('data', (bytes) => (taken += bytes.length));
    await closed(greedy);
    // What the kernel had buffered, and no more.
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(LARGE_BYTES);
  });

  it('closes who comes when it is full, and is there again when those who say nothing are gone', async () => {
    const where = await start();
    const crowd = await Promise.all(Array.from({ length: LIMITS.connections }, () => mute(where)));
    expect(await ask(where)).toBe('');
    await Promise.all(crowd.map(closed));
    expect(await ask(where)).toContain('well');
  });

  it('does not go on after a body', async () => {
    const where = await start();
    const length = `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999999\r\n\r\n${'z'.repeat(100_000)}`;
    expect(await rawHttp(where, length)).toMatch(/^HTTP\/1\.1 200 .*connection: close/is);
    const chunked = `POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffff\r\nzzz`;
    expect(await rawHttp(where, chunked)).toMatch(/^HTTP\/1\.1 200 .*connection: close/is);
  });

  it('serves several requests of one connection', async () => {
    const where = await start();
    const one = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';
    const last = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
    expect((await rawHttp(where, one + one + last)).match(/well/g)).toHaveLength(3);
  });
});

describe('listening()', () => {
  it('rejects with what keeps the server from it', async () => {
    const where = await start();
    const other = boundedServer(LIMITS, () => undefined);
    await expect(listening(other, where, () => undefined)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('hands on later errors, which would end the process else', async () => {
    const errors: string[] = [];
    server = boundedServer(LIMITS, () => undefined);
    await listening(server, { host: '127.0.0.1', port: 0 }, (error) => errors.push(error.message));
    server.emit('error', new Error('accept EMFILE'));
    expect(errors).toEqual(['accept EMFILE']);
  });
});

describe('requestUrl()', () => {
  const of = (url: string) => requestUrl({ url } as Parameters<typeof requestUrl>[0]);

  it('takes what begins with a slash for a path, whatever follows', () => {
    expect(of('/v1/ticks?after=7')?.pathname).toBe('/v1/ticks');
    expect(of('/v1/ticks?after=7')?.searchParams.get('after')).toBe('7');
    expect(of('//evil.example/x')?.pathname).toBe('//evil.example/x');
    expect(of('//evil.example/x')?.host).toBe('here');
  });

  it.each(['', '*', 'http://[', 'http://evil.example/metrics', 'v1/status'])('has none for %j', (url) => {
    expect(of(url)).toBeNull();
  });
});
