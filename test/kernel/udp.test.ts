import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { NS_PER_MS } from '../../src/core/units.ts';
import { openSensor } from '../../src/sensor/open-sensor.ts';
import { DNS_QUERY, startDnsmasq } from './support/more-servers.ts';
import { sensorFixture } from './support/sensor-fixture.ts';
import { Tally } from './support/tally.ts';

const fixture = sensorFixture();
const { cleanups, use } = fixture;

async function socket(type: 'udp4' | 'udp6' = 'udp4'): Promise<Socket> {
  const made = createSocket(type).bind(0, type === 'udp4' ? '127.0.0.1' : '::1');
  await once(made, 'listening');
  cleanups.push(() => made.close());
  return made;
}

function observe(port: number): Tally {
  const targets = [{ name: 'server', ports: [port], protocol: 'udp' as const }];
  const sensor = openSensor({ targets, objectDirectory: fixture.bpf.directory });
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
  const { port } = await use(startDnsmasq());
  const tally = observe(port);
  const peers = await Promise.all(Array.from({ length: 5 }, () => socket()));
  await Promise.all(peers.map((peer) => ask(peer, port, 307, DNS_QUERY)));

  const expected = { arrivals: 1535, requests: 1535, abandoned: 0, unsolicited: 0, dropped: 0, inFlight: 0 };
  expect(await tally.settle(expected)).toEqual(expected);
});
