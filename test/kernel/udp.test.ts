import { spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { NS_PER_MS } from '../../src/core/units.ts';
import { openSensor } from '../../src/sensor/open-sensor.ts';
import { buildBpf, type BuiltBpf } from './support/build-bpf.ts';
import { Tally } from './support/tally.ts';

const PATIENCE_MS = 20_000;
let bpf: BuiltBpf;
const cleanups: (() => unknown)[] = [];

beforeAll(() => {
  bpf = buildBpf();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => bpf.remove());

async function socket(type: 'udp4' | 'udp6' = 'udp4'): Promise<Socket> {
  const made = createSocket(type).bind(0, type === 'udp4' ? '127.0.0.1' : '::1');
  await once(made, 'listening');
  cleanups.push(() => made.close());
  return made;
}

function observe(port: number): Tally {
  const targets = [{ name: 'server', ports: [port], protocol: 'udp' as const }];
  const sensor = openSensor({ targets, objectDirectory: bpf.directory });
  cleanups.push(() => sensor.close());
  expect(sensor.waiting()).toEqual([]);
  return new Tally(sensor);
}

/** A server in this process that answers what begins with `?`, after so many ms. */
async function startNode(type: 'udp4' | 'udp6', delayMs: number): Promise<number> {
  const server = await socket(type);
  server.on('message', (message, peer) => {
    if (message.toString().startsWith('?')) setTimeout(() => server.send('!', peer.port, peer.address), delayMs);
  });
  return server.address().port;
}

async function ask(from: Socket, port: number, times: number, query: string | Buffer): Promise<void> {
  const host = from.address().family === 'IPv4' ? '127.0.0.1' : '::1';
  for (let sent = 0; sent < times; sent++) {
    from.send(query, port, host);
    await once(from, 'message');
  }
}

it.each(['udp4', 'udp6'] as const)('Node by %s: every query of 7 peers, each answered to its own', async (type) => {
  const port = await startNode(type, 0);
  const tally = observe(port);
  const peers = await Promise.all(Array.from({ length: 7 }, () => socket(type)));
  await Promise.all(peers.map((peer) => ask(peer, port, 211, '?')));

  const expected = { arrivals: 1477, requests: 1477, abandoned: 0, unsolicited: 0, dropped: 0, inFlight: 0 };
  expect(await tally.settle(expected)).toEqual(expected);
  expect(tally.latency.count).toBe(1477);
  expect(tally.latency.sumNs).toBe(tally.socketWait.sumNs + tally.handlingTime.sumNs);
});

it('a query that is never answered delays no other peer, and is abandoned in the end', async () => {
  const port = await startNode('udp4', 20);
  const tally = observe(port);
  const [silent, other] = [await socket(), await socket()];
  silent.send('no answer, please', port, '127.0.0.1');
  expect(await tally.settle({ arrivals: 1, inFlight: 1 })).toEqual({ arrivals: 1, inFlight: 1 });
  await sleep(1000);
  await ask(other, port, 13, '?');
  expect(await tally.settle({ arrivals: 14, requests: 13 })).toEqual({ arrivals: 14, requests: 13 });
  expect(tally.handlingTime.sumNs).toBeGreaterThanOrEqual(13 * 19 * NS_PER_MS);
  // Matched in order over all peers, the first reply would have been that to a query of a second ago.
  expect(tally.latency.quantileNs(0.5)).toBeLessThan(900 * NS_PER_MS);
  const expected = { arrivals: 14, requests: 13, abandoned: 1, inFlight: 0 };
  expect(await tally.settle(expected)).toEqual(expected);
});

it('dnsmasq: every query of 5 peers', async () => {
  const reserved = createSocket('udp4').bind(0, '127.0.0.1');
  await once(reserved, 'listening');
  const { port } = reserved.address();
  reserved.close();
  const settings = ['--no-resolv', '--no-hosts', '--address=/example.test/192.0.2.1', '--listen-address=127.0.0.1'];
  const args = ['--keep-in-foreground', '--conf-file=/dev/null', '--bind-interfaces', '--user=root', '--pid-file'];
  const server = spawn('dnsmasq', [...args, `--port=${port}`, ...settings], { stdio: 'ignore' });
  cleanups.push(async () => {
    if (server.exitCode !== null) return;
    server.kill('SIGKILL');
    await once(server, 'exit');
  });
  await untilAnswered(port);
  const tally = observe(port);
  const peers = await Promise.all(Array.from({ length: 5 }, () => socket()));
  await Promise.all(peers.map((peer) => ask(peer, port, 307, QUERY)));

  const expected = { arrivals: 1535, requests: 1535, abandoned: 0, unsolicited: 0, dropped: 0, inFlight: 0 };
  expect(await tally.settle(expected)).toEqual(expected);
});

/** The address of example.test, please: a header of 12 bytes with one question, RFC 1035. */
const QUERY = Buffer.from([
  ...[0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0],
  ...[7, ...Buffer.from('example'), 4, ...Buffer.from('test'), 0, 0, 1, 0, 1],
]);

async function untilAnswered(port: number): Promise<void> {
  const client = await socket();
  const answered = once(client, 'message').then(() => true);
  const deadline = performance.now() + PATIENCE_MS;
  do client.send(QUERY, port, '127.0.0.1');
  while (!(await Promise.race([answered, sleep(50, false)])) && performance.now() < deadline);
  await answered;
}
