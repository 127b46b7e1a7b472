/**
 * Runs in the guest, whose kernel lacks the tracepoints: opens the real sensor with the method that it chooses by itself,
 * has real and scripted servers make turns, and writes what was counted of each to /vm.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NS_PER_MS, NS_PER_S } from '../../../src/core/units.ts';
import { openSensor } from '../../../src/sensor/open-sensor.ts';
import { type DrivenCase, driveSocketCase } from '../../kernel/support/drive-socket-case.ts';
import { exchanges, RawClient } from '../../kernel/support/raw-client.ts';
import { PING, PONG_BYTES, type Server, startNginx, startRedis, startScripted } from '../../kernel/support/servers.ts';
import { GrpcClient, startGrpc, unary } from '../../kernel/support/grpc.ts';
import { GUEST_CASES } from '../../kernel/support/socket-cases.ts';
import { Tally } from '../../kernel/support/tally.ts';
import { type Counts as StreamCounts, WholeRun } from '../../kernel/support/whole-run.ts';

export interface SenseJob {
  readonly objectDirectory: string;
  /** The built command line. */
  readonly program: string;
}

type Counts = Tally['counts'] & { readonly inFlight: number };

export interface CaseReport {
  readonly counts: Counts;
  readonly latencyMs: number;
  readonly longestMs: number;
  readonly socketWaitMs: number;
  readonly handlingMs: number;
  readonly oldestInFlightMs: number;
}

export interface SenseReport {
  readonly method: string;
  /** Of `tracepoint` asked for by name. */
  readonly refusal: string;
  readonly cases: Readonly<Record<string, CaseReport>>;
  /** The same cases, seen by method `syscall` at the same time. */
  readonly syscallCases: Readonly<Record<string, CaseReport>>;
  /** gRPC calls, some of them many at a time on one connection. */
  readonly streams: Partial<StreamCounts>;
  /** Of connections that were asked one thing each, from accept to close by method `syscall`. */
  readonly connections: Counts & { readonly unit: string };
  /** Of Unix-domain sockets and datagrams, by the method that is chosen and by `syscall`. */
  readonly socketCases: Readonly<Record<'auto' | 'syscall', Readonly<Record<string, DrivenCase>>>>;
  /** The lines of `tailgov observe --json`. */
  readonly observed: string;
  /** Those of `tailgov doctor --json`. */
  readonly diagnosed: string;
}

interface Case {
  readonly name: string;
  readonly start: () => Promise<Server>;
  /** @returns the counts to wait for */
  readonly drive: (server: Server) => Promise<Partial<Counts>>;
  /** How old what is in flight is to become. */
  readonly oldestMs?: number;
}

const GET = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
const FILE_BYTES = 8 << 20;
const OLD_PATIENCE_MS = 60_000;
/** An emulated CPU makes pauses where no other would. */
const EXTEND_GAP_MS = 2000;

const job = JSON.parse(readFileSync('/vm/job.json', 'utf8')) as SenseJob;
const site = mkdtempSync(join(tmpdir(), 'tailgov-site-'));
writeFileSync(join(site, 'large'), new Uint8Array(FILE_BYTES));
writeFileSync(join(site, 'small'), 'hello');

const withClients = async (server: Server, count: number, work: (clients: RawClient[]) => Promise<void>) => {
  const host = server === onIpv6 ? '::1' : '127.0.0.1';
  const clients = await Promise.all(Array.from({ length: count }, () => RawClient.connect(server.port, host)));
  await work(clients);
  await Promise.all(clients.map((client) => client.close()));
};
let onIpv6: Server | undefined;

/** `times` requests, one after the other on each of the connections. */
const scripted = (
  name: string,
  script: string,
  request: string,
  replyBytes: number,
  times: number,
  connections = 1,
): Case => ({
  name,
  start: () => startScripted('/vm/scripted-server', script),
  drive: async (server) => {
    await withClients(server, connections, (clients) => exchanges(clients, times, request, replyBytes));
    return { requests: times, inFlight: 0 };
  },
});

/** The bytes of a whole reply of nginx, whose header differs from version to version. */
async function replyBytes(server: Server, request: string, bodyBytes: number): Promise<number> {
  const one = await RawClient.connect(server.port);
  let header: number | undefined;
  one.socket.on('data', (bytes: Buffer) => (header ??= bytes.indexOf('\r\n\r\n') + 4));
  one.send(request);
  await one.receive(bodyBytes + 1);
  await sleep(50);
  await one.close();
  return header! + bodyBytes;
}

const nginx = () => startNginx(`keepalive_timeout 60s; sendfile on; root ${site};`);

const CASES: readonly Case[] = [
  {
    name: 'redis',
    start: startRedis,
    drive: async (server) => {
      await withClients(server, 3, (clients) => exchanges(clients, 1009, PING, PONG_BYTES));
      return { requests: 1009, inFlight: 0 };
    },
  },
  {
    name: 'nginx',
    start: nginx,
    drive: async (server) => {
      const size = await replyBytes(server, GET('/small'), 5);
      await withClients(server, 1, async ([one]) => {
        for (let sent = 0; sent < 100; sent++) await one!.exchange(GET('/small'), size);
      });
      return { requests: 101, inFlight: 0 };
    },
  },
  {
    name: 'nginx, a large file to a slow client',
    start: nginx,
    drive: async (server) => {
      await withClients(server, 1, async ([one]) => {
        one!.send(GET('/large'));
        one!.socket.pause();
        await sleep(700);
        one!.socket.resume();
        await one!.receive(FILE_BYTES + 1);
        await sleep(50);
      });
      return { requests: 1, inFlight: 0 };
    },
  },
  scripted('sendfile', 'r1 f5000', 'a', 5000, 13),
  scripted('splice', 'q1 w10 t1 w10 s1', 'a', 1, 7),
  {
    ...scripted('IPv6', 'r1 s1', 'a', 1, 13),
    start: async () => (onIpv6 = await startScripted('/vm/scripted-server', 'r1 s1', '::1')),
  },
  {
    name: 'partial reads',
    start: () => startScripted('/vm/scripted-server', 'r1 w5 s1'),
    drive: async (server) => {
      await withClients(server, 1, ([one]) => one!.exchange('1234567', 7));
      return { requests: 7, inFlight: 0 };
    },
  },
  scripted('a look', 'p1 w20 r1 s1', 'a', 1, 5),
  scripted('a late read', 'q1 w200 r1 s1', 'a', 1, 5),
  scripted('several sends', `r1 s1 w5 s1 w5 s1 w${2 * EXTEND_GAP_MS} s1`, 'a', 4, 2, 2),
  {
    name: 'abandoned by the client',
    start: () => startScripted('/vm/scripted-server', 'r1 w50 c'),
    drive: async (server) => {
      await withClients(server, 3, async (clients) => {
        for (const one of clients) one.send('a');
        await sleep(20);
      });
      return { abandoned: 3, inFlight: 0 };
    },
  },
  {
    name: 'reset by the server',
    start: () => startScripted('/vm/scripted-server', 'r1 x'),
    drive: async (server) => {
      await withClients(server, 3, async (clients) => {
        for (const one of clients) one.send('a');
        await Promise.all(clients.map((one) => one.ended()));
      });
      return { abandoned: 3, inFlight: 0 };
    },
  },
  {
    name: 'never answered',
    start: () => startScripted('/vm/scripted-server', 'r1 w600000'),
    drive: async (server) => {
      const clients = await Promise.all(Array.from({ length: 3 }, () => RawClient.connect(server.port)));
      for (const one of clients) one.send('a');
      return { arrivals: 3, inFlight: 3 };
    },
    oldestMs: 1000,
  },
];

/** 307 calls, a hundred at a time on each of three connections. */
async function countStreams(): Promise<SenseReport['streams']> {
  const server = await startGrpc({ '/unary': unary });
  const sensor = openSensor({
    targets: [{ name: 'grpc', ports: [server.port] }],
    // An emulated CPU makes pauses where no server would.
    extendGapNs: 60 * NS_PER_S,
    objectDirectory: job.objectDirectory,
  });
  const whole = new WholeRun(sensor);
  const clients = Array.from({ length: 3 }, () => new GrpcClient(server.port));
  let left = 307;
  await Promise.all(
    Array.from({ length: 300 }, async (_, index) => {
      while (left-- > 0) await clients[index % clients.length]!.call('/unary');
    }),
  );
  const counts = await whole.settle({
    ...{ unit: 'stream', arrivals: 307, requests: 307, firstResponses: 307, inFlight: 0, others: 0 },
    ...{ streamConnections: 3, turnConnections: 0, lostConnections: 0, abandoned: 0, dropped: 0, streaming: 0 },
  });
  for (const client of clients) await client.close();
  sensor.close();
  await server.stop();
  return counts;
}

/** 11 connections that nginx closes after their reply. */
async function countConnections(): Promise<SenseReport['connections']> {
  const server = await startNginx(`keepalive_timeout 0; root ${site};`);
  const sensor = openSensor({
    targets: [{ name: 'nginx', ports: [server.port], protocol: 'connection' }],
    method: 'syscall',
    objectDirectory: job.objectDirectory,
  });
  const tally = new Tally(sensor);
  for (let sent = 0; sent < 11; sent++) {
    const one = await RawClient.connect(server.port);
    one.send(GET('/small'));
    await one.ended();
    await one.close();
  }
  await tally.settle({ requests: 11, inFlight: 0 });
  const { inFlight, unit } = tally.last!;
  sensor.close();
  await server.stop();
  return { ...tally.counts, inFlight, unit };
}

function refusalOf(method: 'tracepoint'): string {
  try {
    openSensor({ targets: [{ name: 'any', ports: [1] }], method, objectDirectory: job.objectDirectory }).close();
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

const began = performance.now();
const say = (what: string) => console.log(`sense: ${what} (${((performance.now() - began) / 1000).toFixed(1)} s)`);

const servers = await Promise.all(CASES.map(({ start }) => start()));
say('servers run');
const options = {
  targets: CASES.map(({ name }, index) => ({ name, ports: [servers[index]!.port] })),
  extendGapNs: EXTEND_GAP_MS * NS_PER_MS,
  objectDirectory: job.objectDirectory,
};
const sensor = openSensor(options);
const syscallSensor = openSensor({ ...options, method: 'syscall' });
say('the sensors are open');
// What was counted until now, if anything, belongs to no case.
sensor.read();
syscallSensor.read();

const reportOf = (tally: Tally): CaseReport => ({
  counts: { ...tally.counts, inFlight: tally.last!.inFlight },
  latencyMs: tally.latency.sumNs / NS_PER_MS,
  longestMs: tally.latency.maxNs / NS_PER_MS,
  socketWaitMs: tally.socketWait.sumNs / NS_PER_MS,
  handlingMs: tally.handlingTime.sumNs / NS_PER_MS,
  oldestInFlightMs: tally.last!.oldestInFlightNs / NS_PER_MS,
});
const cases: Record<string, CaseReport> = {};
const syscallCases: Record<string, CaseReport> = {};
for (const [index, { name, drive, oldestMs = 0 }] of CASES.entries()) {
  const tally = new Tally(sensor, index);
  const syscallTally = new Tally(syscallSensor, index);
  const expected = await drive(servers[index]!);
  await tally.settle(expected);
  const deadline = performance.now() + OLD_PATIENCE_MS;
  while (tally.last!.oldestInFlightNs < oldestMs * NS_PER_MS && performance.now() < deadline) {
    await sleep(50);
    tally.read();
  }
  // It does not see what is spliced.
  if (name === 'splice') syscallTally.read();
  else await syscallTally.settle(expected);
  cases[name] = reportOf(tally);
  syscallCases[name] = reportOf(syscallTally);
  say(name);
}
const { method } = sensor;
sensor.close();
syscallSensor.close();
const streams = await countStreams();
say('streams');
const connections = await countConnections();
say('connections');
const socketCases: Record<'auto' | 'syscall', Record<string, DrivenCase>> = { auto: {}, syscall: {} };
for (const choice of ['auto', 'syscall'] as const) {
  for (const each of GUEST_CASES[choice]) {
    socketCases[choice][each.name] = await driveSocketCase(each, job.objectDirectory, choice);
    say(`${choice}: ${each.name}`);
  }
}
const observe = ['observe', '--port', `${servers[0]!.port}`, '--duration', '100ms', '--json'];
const observed = execFileSync(process.execPath, [job.program, ...observe], { encoding: 'utf8' });
say('observed');
const diagnosed = spawnSync(process.execPath, [job.program, 'doctor', '--json'], { encoding: 'utf8' }).stdout;
say('diagnosed');
writeFileSync(
  '/vm/report.json',
  JSON.stringify({
    ...{ method, refusal: refusalOf('tracepoint'), cases, syscallCases, streams, connections },
    ...{ socketCases, observed, diagnosed },
  } satisfies SenseReport),
);
for (const server of servers) await server.stop();
// The client's side of what is never answered is still open.
process.exit(0);
