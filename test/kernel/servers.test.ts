import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NS_PER_S } from '../../src/core/units.ts';
import { openSensor, type OpenedSensor, type TargetSpec } from '../../src/sensor/open-sensor.ts';
import { startHaproxy, startIoUring, startMemcached, startNginxWorkers } from './support/more-servers.ts';
import { runPgbench, startPostgresql } from './support/postgresql.ts';
import { exchanges, RawClient } from './support/raw-client.ts';
import { type Server, startNginx } from './support/servers.ts';
import { sensorFixture } from './support/sensor-fixture.ts';
import { Tally } from './support/tally.ts';

/** More than the buffers of a socket hold. */
const LARGE_BYTES = 8 << 20;

/** Where other work has the CPUs, the sends of one reply lie far apart. */
const EXTEND_GAP_NS = 20 * NS_PER_S;

let directory: string;
const fixture = sensorFixture();
const { cleanups, use } = fixture;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tailgov-servers-'));
  writeFileSync(join(directory, 'large'), Buffer.alloc(LARGE_BYTES));
  writeFileSync(join(directory, 'small.txt'), 'hello '.repeat(200));
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function open(place: Omit<TargetSpec, 'name'>): OpenedSensor {
  const targets = [{ name: 'server', ...place }];
  const sensor = openSensor({ targets, extendGapNs: EXTEND_GAP_NS, objectDirectory: fixture.bpf.directory });
  cleanups.push(() => sensor.close());
  return sensor;
}

async function clients(port: number, count: number): Promise<readonly RawClient[]> {
  const connected = await Promise.all(Array.from({ length: count }, () => RawClient.connect(port)));
  cleanups.push(() => Promise.all(connected.map((client) => client.close())));
  return connected;
}

/** Every turn answered, and nothing besides. */
async function expectTurns(tally: Tally, turns: number): Promise<void> {
  const expected = { arrivals: turns, requests: turns, abandoned: 0, unsolicited: 0, dropped: 0, inFlight: 0 };
  expect(await tally.settle(expected)).toEqual(expected);
  expect(tally.latency.sumNs).toBe(tally.socketWait.sumNs + tally.handlingTime.sumNs);
}

interface Exchange {
  readonly path?: string;
  readonly body?: Buffer;
  readonly headers?: Record<string, string>;
}

/** As many requests, one after the other on each of `connections` that are kept alive. @returns the bytes that came back */
async function http(
  port: number,
  requests: number,
  { connections = 3, ...what }: Exchange & { connections?: number } = {},
): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  cleanups.push(() => agent.destroy());
  const replies = await Promise.all(Array.from({ length: requests }, () => httpOnce(agent, port, what)));
  return replies.reduce((sum, bytes) => sum + bytes);
}

async function httpOnce(agent: Agent, port: number, { path = '/', body, headers = {} }: Exchange): Promise<number> {
  const asked = request({ agent, port, path, headers, host: '127.0.0.1', method: body === undefined ? 'GET' : 'POST' });
  asked.end(body);
  const [reply] = (await once(asked, 'response')) as [NodeJS.ReadableStream & { statusCode: number }];
  expect(reply.statusCode).toBe(200);
  let bytes = 0;
  for await (const chunk of reply) bytes += chunk.length;
  return bytes;
}

/** An HTTP server in this process. */
async function startNode(answer: RequestListener): Promise<Server> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { port: (server.address() as AddressInfo).port, pid: process.pid, stop };
}

/** 100 bytes a chunk, each in a send of its own. */
function sendChunks(reply: ServerResponse, chunks: number): void {
  if (chunks === 0) {
    reply.end();
    return;
  }
  reply.write('x'.repeat(100));
  setImmediate(sendChunks, reply, chunks - 1);
}

describe('HTTP/1.1: every request is one turn', () => {
  it('chunked replies that nginx compresses', async () => {
    const nginx = await use(startNginx(`root ${directory}; gzip on; gzip_types text/plain; gzip_min_length 1;`));
    const tally = new Tally(open({ ports: [nginx.port] }));
    await http(nginx.port, 211, { path: '/small.txt', headers: { 'accept-encoding': 'gzip' } });
    await expectTurns(tally, 211);
  });

  it('chunked replies of Node, a send a chunk', async () => {
    const node = await use(startNode((_, reply) => sendChunks(reply, 5)));
    const tally = new Tally(open({ ports: [node.port] }));
    expect(await http(node.port, 97)).toBe(97 * 500);
    await expectTurns(tally, 97);
  });

  it('8 MB to the server', async () => {
    const node = await use(
      startNode((asked, reply) => {
        asked.resume().on('end', () => reply.end('ok'));
      }),
    );
    const tally = new Tally(open({ ports: [node.port] }));
    expect(await http(node.port, 11, { body: Buffer.alloc(LARGE_BYTES) })).toBe(11 * 2);
    await expectTurns(tally, 11);
  });

  it.each([
    ['sendfile', 'on'],
    ['writes', 'off'],
  ])('8 MB to the client by %s of nginx', async (_, sendfile) => {
    const nginx = await use(startNginx(`root ${directory}; sendfile ${sendfile};`));
    const tally = new Tally(open({ ports: [nginx.port] }));
    expect(await http(nginx.port, 23, { path: '/large' })).toBe(23 * LARGE_BYTES);
    await expectTurns(tally, 23);
  });

  it('workers that share a port by SO_REUSEPORT, with a connection a request', async () => {
    const nginx = await use(startNginxWorkers(2, 'keepalive_timeout 0; location / { return 200 "hello"; }'));
    const sensor = open({ ports: [nginx.port] });
    const tally = new Tally(sensor);
    await http(nginx.port, 307);
    await expectTurns(tally, 307);
    expect(sensor.processes().get('server')).toHaveLength(2);
  });

  it('a proxy and the server behind it, each by itself', async () => {
    const nginx = await use(startNginx('location / { return 200 "hello"; }'));
    const haproxy = await use(startHaproxy(nginx.port));
    const [atProxy, behind] = [haproxy, nginx].map(({ port }) => new Tally(open({ ports: [port] })));
    await http(haproxy.port, 503, { connections: 7 });
    await expectTurns(atProxy!, 503);
    await expectTurns(behind!, 503);
  });
});

it('memcached with 4 threads: 7,001 turns over 13 connections', async () => {
  const memcached = await use(startMemcached(4));
  const tally = new Tally(open({ ports: [memcached.port] }));
  await exchanges(await clients(memcached.port, 13), 7001, 'set key 0 0 3\r\nabc\r\n', 'STORED\r\n'.length);
  await expectTurns(tally, 7001);
});

it('a server on io_uring: 5,003 turns over 11 connections', async () => {
  const server = await use(startIoUring());
  const tally = new Tally(open({ ports: [server.port] }));
  await exchanges(await clients(server.port, 11), 5003, 'ping\n', 'pong\n'.length);
  await expectTurns(tally, 5003);
});

it('PostgreSQL by TCP, a process a connection: transactions and greetings are turns, a good-bye is abandoned', async () => {
  const postgresql = await use(startPostgresql());
  const tally = new Tally(open({ ports: [postgresql.port] }));
  const expected = await runPgbench(postgresql, '127.0.0.1');
  expect(await tally.settle(expected)).toEqual(expected);
});
