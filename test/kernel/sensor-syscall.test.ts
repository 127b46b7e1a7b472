/** The method `syscall`, on the kernel of this machine. */
import { describe, expect, it } from 'vitest';
import { NS_PER_MS } from '../../src/core/units.ts';
import { openSensor, type TargetSpec } from '../../src/sensor/open-sensor.ts';
import { exchanges, RawClient } from './support/raw-client.ts';
import { sensorFixture } from './support/sensor-fixture.ts';
import { PING, PONG_BYTES, type Server, startNginx, startRedis } from './support/servers.ts';
import { Tally } from './support/tally.ts';

const fixture = sensorFixture();
const { cleanups, use, client } = fixture;

function observe(server: Server, extendGapMs = 50, target: Partial<TargetSpec> = {}): Tally {
  const targets = [{ name: 'server', ports: [server.port], ...target }];
  const sensor = openSensor({
    targets,
    objectDirectory: fixture.bpf.directory,
    method: 'syscall',
    extendGapNs: extendGapMs * NS_PER_MS,
  });
  cleanups.push(() => sensor.close());
  expect(sensor.method).toBe('syscall');
  return new Tally(sensor);
}

/** What was counted hangs together, and no time is claimed for what the method cannot see. */
function expectSound(tally: Tally): void {
  const { arrivals, requests, abandoned, dropped } = tally.counts;
  expect(arrivals).toBe(requests + abandoned + tally.last!.inFlight);
  expect(dropped).toBe(0);
  expect(tally.socketWait.sumNs).toBe(0);
  expect(tally.latency.sumNs).toBe(tally.handlingTime.sumNs);
  expect(tally.last!.method).toBe('syscall');
}

describe('method syscall counts real servers exactly', () => {
  it('Redis: 10,007 requests over 7 connections that are kept alive', async () => {
    const redis = await use(startRedis());
    const tally = observe(redis);
    const clients = await Promise.all(Array.from({ length: 7 }, () => client(redis)));
    await exchanges(clients, 10_007, PING, PONG_BYTES);

    const expected = { arrivals: 10_007, requests: 10_007, abandoned: 0, unsolicited: 0, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectSound(tally);
    expect(tally.latency.count).toBe(10_007);
    expect(tally.latency.sumNs).toBeGreaterThan(0);
  });

  it('nginx: 211 requests, each over a connection of its own', async () => {
    const nginx = await use(
      startNginx('keepalive_timeout 0; default_type text/plain; location / { return 200 "hello"; }'),
    );
    const tally = observe(nginx);
    for (let sent = 0; sent < 211; sent++) {
      const one = await RawClient.connect(nginx.port);
      one.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await one.receive('HTTP/1.1 200 OK'.length);
      await one.close();
    }

    const expected = { arrivals: 211, requests: 211, abandoned: 0, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectSound(tally);
  });
});

describe('method syscall, where a request is a connection', () => {
  const byConnection = { protocol: 'connection' } as const;
  const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

  it('nginx: 211 connections, each from accept to close', async () => {
    const nginx = await use(
      startNginx('keepalive_timeout 0; default_type text/plain; location / { return 200 "hello"; }'),
    );
    const tally = observe(nginx, 50, byConnection);
    for (let sent = 0; sent < 211; sent++) {
      const one = await RawClient.connect(nginx.port);
      one.send(GET);
      await one.ended();
      await one.close();
    }

    const expected = { arrivals: 211, requests: 211, abandoned: 0, unsolicited: 0, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectSound(tally);
    expect(tally.last!.unit).toBe('connection');
  });

  it('takes the whole time between, whatever is read and sent in it, and with threads that share it', async () => {
    const server = await use(fixture.scripted.start('r1 s1 w30 s1 r1 s1 c'));
    const tally = observe(server, 50, byConnection);
    const clients = await Promise.all(Array.from({ length: 5 }, () => client(server)));
    await Promise.all(
      clients.map(async (one) => {
        await one.exchange('a', 2);
        one.send('b');
        await one.ended();
      }),
    );

    const expected = { arrivals: 5, requests: 5, abandoned: 0, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectSound(tally);
    expect(tally.latency.sumNs).toBeGreaterThanOrEqual(5 * 30 * NS_PER_MS);
  });

  it('counts what its client has reset as abandoned, and what is open as in flight', async () => {
    const server = await use(fixture.scripted.start('r1 w600000'));
    const tally = observe(server, 50, byConnection);
    const clients = await Promise.all(Array.from({ length: 3 }, () => client(server)));
    expect(await tally.settle({ arrivals: 3, inFlight: 3 })).toEqual({ arrivals: 3, inFlight: 3 });
    for (const one of clients) one.socket.resetAndDestroy();
    const expected = { arrivals: 3, requests: 0, abandoned: 3, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectSound(tally);
  });

  it('is refused with another method', () => {
    const targets = [{ name: 'server', ports: [1], ...byConnection }];
    expect(() => openSensor({ targets, objectDirectory: fixture.bpf.directory, method: 'tracepoint' })).toThrow(
      "protocol connection, expected it with method 'syscall' alone",
    );
  });
});

describe('method syscall', () => {
  it('follows a process to the port that it listens on', async () => {
    const redis = await use(startRedis());
    const targets = [{ name: 'process', pid: redis.pid }];
    const sensor = openSensor({ targets, objectDirectory: fixture.bpf.directory, method: 'syscall' });
    cleanups.push(() => sensor.close());
    const tally = new Tally(sensor);
    const one = await client(redis);
    for (let sent = 0; sent < 13; sent++) await one.exchange(PING, PONG_BYTES);

    expect(await tally.settle({ requests: 13, inFlight: 0 })).toEqual({ requests: 13, inFlight: 0 });
    expectSound(tally);
  });

  it('misses what waits in the socket before a late read', async () => {
    const server = await use(fixture.scripted.start('q1 w30 r1 s1'));
    const tally = observe(server);
    const one = await client(server);
    for (let turn = 0; turn < 5; turn++) await one.exchange('a', 1);

    expect(await tally.settle({ requests: 5, inFlight: 0 })).toEqual({ requests: 5, inFlight: 0 });
    expectSound(tally);
  });

  it('takes a look with MSG_PEEK for no read', async () => {
    const server = await use(fixture.scripted.start('p1 w20 r1 s1'));
    const tally = observe(server);
    const one = await client(server);
    for (let turn = 0; turn < 5; turn++) await one.exchange('a', 1);

    expect(await tally.settle({ requests: 5, inFlight: 0 })).toEqual({ requests: 5, inFlight: 0 });
    expectSound(tally);
  });

  it('a send within the gap extends the turn, one after it is unsolicited', async () => {
    const server = await use(fixture.scripted.start('r1 s1 w5 s1 w1500 s1'));
    const tally = observe(server, 1000);
    const one = await client(server);
    await one.exchange('a', 3);

    const expected = { requests: 1, unsolicited: 1, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectSound(tally);
    expect(tally.latency.sumNs).toBeGreaterThanOrEqual(5 * NS_PER_MS);
    expect(tally.latency.sumNs).toBeLessThan(1500 * NS_PER_MS);
  });

  it('tells what is in flight and how old it is, and counts it as abandoned when its connection closes', async () => {
    const server = await use(fixture.scripted.start('r1'));
    const tally = observe(server);
    const clients = await Promise.all([client(server), client(server), client(server)]);
    for (const each of clients) each.send('a');
    expect(await tally.settle({ arrivals: 3, inFlight: 3 })).toEqual({ arrivals: 3, inFlight: 3 });
    await expect.poll(() => tally.read().oldestInFlightNs, { timeout: 20_000 }).toBeGreaterThan(200 * NS_PER_MS);
    expect(tally.last!.inFlight).toBe(3);
    for (const each of clients) await each.close();
    expect(await tally.settle({ abandoned: 3, inFlight: 0 })).toEqual({ abandoned: 3, inFlight: 0 });
    expectSound(tally);
  });
});
