/**
 * What is to be counted alike of Unix-domain sockets and of datagrams, by whatever method. Driven by tests here and in a guest, which
 * has no test runner: so the cases tell what was counted beside what was expected.
 */
import { spawn } from 'node:child_process';
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Agent, request, type IncomingMessage } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { NS_PER_MS, NS_PER_S } from '../../../src/core/units.ts';
import type { OpenedSensor, TargetSpec } from '../../../src/sensor/open-sensor.ts';
import { DNS_QUERY, startDnsmasq } from './more-servers.ts';
import { runPgbench, startPostgresql } from './postgresql.ts';
import { startNginx } from './servers.ts';
import { Tally } from './tally.ts';

/** Where other work has the CPUs, the sends of one reply lie far apart. */
export const CASES_EXTEND_GAP_NS = 20 * NS_PER_S;

/** What a case is given. */
export interface Surroundings {
  /** Opens a sensor by the method that is tried, with CASES_EXTEND_GAP_NS. Closed after the case. */
  readonly open: (place: Omit<TargetSpec, 'name'>) => OpenedSensor;
  /** For files of the case's own. */
  readonly directory: string;
  /** Called after the case, the last one first. */
  readonly cleanups: (() => unknown)[];
}

/** Both are plain data: a guest writes them down. */
export interface Step {
  readonly what: string;
  readonly counted: unknown;
  readonly expected: unknown;
}

export interface SocketCase {
  readonly name: string;
  readonly drive: (around: Surroundings) => Promise<readonly Step[]>;
}

type Counts = Parameters<Tally['settle']>[0];

async function settled(what: string, tally: Tally, expected: Counts): Promise<Step> {
  return { what, counted: await tally.settle(expected), expected };
}

const everyTurn = (turns: number): Counts => ({
  ...{ arrivals: turns, requests: turns, abandoned: 0, unsolicited: 0, dropped: 0, inFlight: 0 },
});

const isWhole = ({ latency, socketWait, handlingTime }: Tally): Step => ({
  what: 'latency is socket wait plus handling time',
  counted: latency.sumNs,
  expected: socketWait.sumNs + handlingTime.sumNs,
});

const PATIENCE_MS = 60_000;

async function untilConnected(path: string, { cleanups }: Surroundings): Promise<Socket> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
      cleanups.push(() => socket.destroy());
      return socket;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(20);
    }
  }
}

/** @returns how it is stopped */
function startRedisAt(path: string, { directory, cleanups }: Surroundings): () => Promise<void> {
  const args = ['--port', '0', '--unixsocket', path, '--save', '', '--dir', directory];
  const child = spawn('redis-server', args, { stdio: 'ignore' });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  };
  cleanups.push(stop);
  return stop;
}

async function ping(socket: Socket, times: number): Promise<void> {
  for (let sent = 0; sent < times; sent++) {
    socket.write('PING\r\n');
    await once(socket, 'data');
  }
}

const FILE_BYTES = 1 << 20;

/** @returns how many bytes came */
async function fetchFile(agent: Agent, socketPath: string): Promise<number> {
  const asked = request({ agent, socketPath, path: '/large' }).end();
  const [reply] = (await once(asked, 'response')) as [IncomingMessage];
  let bytes = 0;
  reply.on('data', (data: Buffer) => (bytes += data.length));
  await once(reply, 'end');
  return bytes;
}

export const UNIX_CASES: readonly SocketCase[] = [
  {
    name: 'Redis: every turn, those of a connection from before the sensor too, and after a restart',
    drive: async (around) => {
      const path = join(around.directory, 'redis.sock');
      const stop = startRedisAt(path, around);
      const early = await untilConnected(path, around);
      await ping(early, 3);
      const sensor = around.open({ unix: path });
      const tally = new Tally(sensor);
      const found = { what: 'it is found', counted: sensor.waiting(), expected: [] };
      await Promise.all([ping(early, 101), ping(await untilConnected(path, around), 307)]);
      const first = await settled('two connections', tally, everyTurn(408));

      await stop();
      startRedisAt(path, around);
      const late = await untilConnected(path, around);
      // Its first turns are not seen before the sensor has found the new socket.
      const deadline = performance.now() + PATIENCE_MS;
      while (tally.counts.requests === 408 && performance.now() < deadline) {
        await ping(late, 1);
        tally.read();
      }
      await tally.settle({ inFlight: 0 });
      const before = tally.counts.requests;
      await ping(late, 211);
      const second = await settled('after a restart', tally, everyTurn(before + 211));
      return [found, first, second, isWhole(tally)];
    },
  },
  {
    name: 'Redis: what its client closes before it is answered is abandoned',
    drive: async (around) => {
      const path = join(around.directory, 'abandoned.sock');
      startRedisAt(path, around);
      const socket = await untilConnected(path, around);
      const tally = new Tally(around.open({ unix: path }));
      socket.write('PING without an end');
      const waiting = await settled('half a request', tally, { arrivals: 1, inFlight: 1 });
      // It is looked for again and again, and found each time.
      for (let reads = 0; reads < 40; reads++) {
        tally.read();
        await sleep(50);
      }
      const waitingStill = await settled('half a request, 2 s later', tally, { abandoned: 0, inFlight: 1 });
      socket.destroy();
      const expected = { arrivals: 1, requests: 0, abandoned: 1, inFlight: 0 };
      return [waiting, waitingStill, await settled('its client has closed', tally, expected)];
    },
  },
  {
    name: 'nginx: files by sendfile, on 3 connections',
    drive: async (around) => {
      const path = join(around.directory, 'nginx.sock');
      writeFileSync(join(around.directory, 'large'), new Uint8Array(FILE_BYTES));
      const site = `listen unix:${path}; keepalive_timeout 600s; sendfile on; root ${around.directory};`;
      const server = await startNginx(site);
      around.cleanups.push(() => server.stop());
      const tally = new Tally(around.open({ unix: path }));
      const agents = Array.from({ length: 3 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
      around.cleanups.push(() => agents.forEach((agent) => agent.destroy()));
      const fetched = await Promise.all(
        Array.from({ length: 39 }, (_, index) => fetchFile(agents[index % agents.length]!, path)),
      );
      const bytes = { what: 'bytes', counted: fetched.reduce((sum, each) => sum + each), expected: 39 * FILE_BYTES };
      return [bytes, await settled('39 files', tally, everyTurn(39)), isWhole(tally)];
    },
  },
  {
    name: 'a late read shows as socket wait, but for method syscall',
    drive: async (around) => {
      const path = join(around.directory, 'late.sock');
      const server = createServer({ pauseOnConnect: true }).listen(path);
      await once(server, 'listening');
      around.cleanups.push(() => server.close());
      const sensor = around.open({ unix: path });
      const tally = new Tally(sensor);
      for (let asked = 0; asked < 5; asked++) {
        const accepting = once(server, 'connection') as Promise<[Socket]>;
        const client = await untilConnected(path, around);
        const [accepted] = await accepting;
        around.cleanups.push(() => accepted.destroy());
        await promisify((text: string, written: () => void) => client.write(text, written))('a');
        await sleep(30);
        accepted.on('data', () => accepted.write('b')).resume();
        await once(client, 'data');
      }
      const counted = await settled('5 turns', tally, everyTurn(5));
      const waited = tally.socketWait.sumNs >= 5 * 29 * NS_PER_MS;
      return [counted, { what: 'it waited', counted: waited, expected: sensor.method !== 'syscall' }, isWhole(tally)];
    },
  },
  {
    name: 'PostgreSQL, a process a connection: transactions and greetings are turns, a good-bye is abandoned',
    drive: async (around) => {
      const postgresql = await startPostgresql();
      around.cleanups.push(() => postgresql.stop());
      const { socketDirectory, port } = postgresql;
      const tally = new Tally(around.open({ unix: join(socketDirectory, `.s.PGSQL.${port}`) }));
      return [await settled('by pgbench', tally, await runPgbench(postgresql, socketDirectory)), isWhole(tally)];
    },
  },
];

async function datagramSocket(around: Surroundings, type: 'udp4' | 'udp6' = 'udp4'): Promise<DatagramSocket> {
  const made = createSocket(type).bind(0, type === 'udp4' ? '127.0.0.1' : '::1');
  await once(made, 'listening');
  around.cleanups.push(() => made.close());
  return made;
}

/** A server in this process that answers what begins with `?`, after so many ms. @returns its port */
async function startAnswering(around: Surroundings, type: 'udp4' | 'udp6', delayMs: number): Promise<number> {
  const server = await datagramSocket(around, type);
  server.on('message', (message, peer) => {
    if (message.toString().startsWith('?')) setTimeout(() => server.send('!', peer.port, peer.address), delayMs);
  });
  return server.address().port;
}

async function ask(from: DatagramSocket, port: number, times: number, query: string | Buffer): Promise<void> {
  const host = from.address().family === 'IPv4' ? '127.0.0.1' : '::1';
  for (let sent = 0; sent < times; sent++) {
    from.send(query, port, host);
    await once(from, 'message');
  }
}

/** So many queries of each of so many peers. */
async function askAll(
  around: Surroundings,
  port: number,
  peers: number,
  queries: number,
  query: string | Buffer,
  type?: 'udp4' | 'udp6',
): Promise<readonly Step[]> {
  const sensor = around.open({ ports: [port], protocol: 'udp' });
  const tally = new Tally(sensor);
  const found = { what: 'it is found', counted: sensor.waiting(), expected: [] };
  const sockets = await Promise.all(Array.from({ length: peers }, () => datagramSocket(around, type)));
  await Promise.all(sockets.map((socket) => ask(socket, port, queries, query)));
  const counted = await settled(`${peers} peers`, tally, everyTurn(peers * queries));
  return [
    found,
    counted,
    isWhole(tally),
    { what: 'latencies', counted: tally.latency.count, expected: peers * queries },
  ];
}

export const DATAGRAM_CASES: readonly SocketCase[] = [
  ...(['udp4', 'udp6'] as const).map((type) => ({
    name: `Node by ${type}: every query of 7 peers, each answered to its own`,
    drive: async (around: Surroundings) => askAll(around, await startAnswering(around, type, 0), 7, 211, '?', type),
  })),
  {
    name: 'a query that is never answered delays no other peer, and is abandoned in the end',
    drive: async (around) => {
      const port = await startAnswering(around, 'udp4', 20);
      const tally = new Tally(around.open({ ports: [port], protocol: 'udp' }));
      const [silent, other] = [await datagramSocket(around), await datagramSocket(around)];
      silent.send('no answer, please', port, '127.0.0.1');
      const waiting = await settled('a query', tally, { arrivals: 1, inFlight: 1 });
      await sleep(1000);
      const beforeMs = performance.now();
      await ask(other, port, 13, '?');
      const tookNs = (performance.now() - beforeMs) * NS_PER_MS;
      const answered = await settled('13 queries of another peer', tally, { arrivals: 14, requests: 13 });
      // Matched in order over all peers, the first reply would have been that to a query of a second ago.
      const total = { what: 'no longer than all of them took', counted: tally.latency.sumNs <= tookNs, expected: true };
      const handled = {
        what: 'no shorter than the server waited',
        counted: tally.handlingTime.sumNs >= 13 * 19 * NS_PER_MS,
        expected: true,
      };
      const expected = { arrivals: 14, requests: 13, abandoned: 1, inFlight: 0 };
      return [waiting, answered, total, handled, await settled('in the end', tally, expected)];
    },
  },
  {
    name: 'dnsmasq: every query of 5 peers',
    drive: async (around) => {
      const server = await startDnsmasq();
      around.cleanups.push(() => server.stop());
      return askAll(around, server.port, 5, 307, DNS_QUERY);
    },
  },
];

const ALL = [...UNIX_CASES, ...DATAGRAM_CASES];

/** What a guest drives, by the method asked for. PostgreSQL takes more than a minute there: once is enough. */
export const GUEST_CASES: Readonly<Record<'auto' | 'syscall', readonly SocketCase[]>> = {
  auto: ALL,
  syscall: ALL.filter(({ name }) => !name.startsWith('PostgreSQL')),
};
