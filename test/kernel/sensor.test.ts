import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { SensorError } from '../../src/core/errors.ts';
import type { Sensor } from '../../src/core/sensor.ts';
import { NS_PER_MS, NS_PER_S } from '../../src/core/units.ts';
import { Epoll } from '../../src/native/epoll.ts';
import { openSensor, type SensorOptions, type TargetSpec } from '../../src/sensor/open-sensor.ts';
import { TurnSensor } from '../../src/sensor/turn-sensor.ts';
import { exchanges, RawClient } from './support/raw-client.ts';
import { sensorFixture } from './support/sensor-fixture.ts';
import { freePort, PING, PONG_BYTES, type Server, startNginx, startRedis } from './support/servers.ts';
import { Tally } from './support/tally.ts';

const PATIENCE = { timeout: 20_000 };
/** For replies in several sends that lie far apart where other work has the CPUs. */
const PATIENT = { extendGapNs: 20 * NS_PER_S };

const fixture = sensorFixture();
const { cleanups, use, client } = fixture;

function open(targets: readonly TargetSpec[], options: Partial<SensorOptions> = {}): Sensor {
  const sensor = openSensor({ targets, objectDirectory: fixture.bpf.directory, ...options });
  cleanups.push(() => sensor.close());
  return sensor;
}

function observe(server: Server, target: Partial<TargetSpec> = {}, options: Partial<SensorOptions> = {}): Tally {
  return new Tally(open([{ name: 'server', ports: [server.port], ...target }], options));
}

/** A sensor for each of the targets, on all of them: what one tally reads another does not see. */
const talliesOf = (targets: readonly TargetSpec[]): readonly Tally[] =>
  targets.map((_, index) => new Tally(open(targets), index));

/** What was counted hangs together, whatever it was. */
function expectConserved(tally: Tally): void {
  const { arrivals, requests, abandoned, dropped } = tally.counts;
  expect(arrivals).toBe(requests + abandoned + tally.last!.inFlight);
  expect(dropped).toBe(0);
  expect(tally.latency.sumNs).toBe(tally.socketWait.sumNs + tally.handlingTime.sumNs);
}

describe('turns on real servers are counted exactly', () => {
  it('Redis: 10,007 requests over 7 connections that are kept alive', async () => {
    const redis = await use(startRedis());
    const tally = observe(redis);
    const clients = await Promise.all(Array.from({ length: 7 }, () => client(redis)));
    const started = performance.now();
    await exchanges(clients, 10_007, PING, PONG_BYTES);
    const expected = { arrivals: 10_007, requests: 10_007, abandoned: 0, unsolicited: 0, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    const elapsedNs = (performance.now() - started) * NS_PER_MS;
    expectConserved(tally);
    for (const histogram of [tally.latency, tally.socketWait, tally.handlingTime]) {
      expect(histogram.count).toBe(10_007);
    }
    // Each connection waits for its reply: at no time were more than seven requests in the server, and one of those whose reply
    // its only thread has handed over and not yet told of.
    expect(tally.latency.sumNs).toBeGreaterThan(0);
    expect(tally.latency.sumNs).toBeLessThan((7 + 1) * elapsedNs);
  });

  it('Redis: a batch of commands that is read at once is one turn', async () => {
    const redis = await use(startRedis());
    const tally = observe(redis);
    const one = await client(redis);
    for (let batch = 0; batch < 101; batch++) await one.exchange(PING.repeat(23), 23 * PONG_BYTES);

    expect(await tally.settle({ requests: 101, inFlight: 0 })).toEqual({ requests: 101, inFlight: 0 });
    expectConserved(tally);
  });

  it('Redis: a push to a subscriber is unsolicited', async () => {
    const redis = await use(startRedis());
    const tally = observe(redis);
    const subscriber = await client(redis);
    const publisher = await client(redis);
    await subscriber.exchange('SUBSCRIBE news\r\n', '*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n'.length);
    expect(await tally.settle({ requests: 1 })).toEqual({ requests: 1 });
    const subscribedNs = tally.latency.sumNs;
    let publishedNs = 0;
    for (let push = 0; push < 3; push++) {
      await sleep(220);
      const began = performance.now();
      await publisher.exchange('PUBLISH news hello\r\n', ':1\r\n'.length);
      await subscriber.receive('*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n'.length);
      await tally.settle({ requests: push + 2 });
      publishedNs += (performance.now() - began) * NS_PER_MS;
    }

    const expected = { arrivals: 4, requests: 4, unsolicited: 3, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectConserved(tally);
    // No push counts as a late end of the subscription's reply: what is in the sum besides that is of publishing.
    expect(tally.latency.sumNs - subscribedNs).toBeLessThan(publishedNs);
  });

  it.each([
    ['kept alive', 'keepalive_timeout 60s;', 1],
    ['closed after each reply', 'keepalive_timeout 0;', 211],
  ])('nginx: 211 requests over connections that are %s', async (_, setting, connections) => {
    const nginx = await use(startNginx(`${setting} default_type text/plain; location / { return 200 "hello"; }`));
    const tally = observe(nginx);
    const request = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
    if (connections === 1) {
      const one = await client(nginx);
      const sizeOfReply = await replySize(nginx, request);
      for (let sent = 0; sent < 210; sent++) await one.exchange(request, sizeOfReply);
    } else {
      for (let sent = 0; sent < 211; sent++) await replySize(nginx, request);
    }

    const expected = { arrivals: 211, requests: 211, abandoned: 0, unsolicited: 0, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectConserved(tally);
  });

  describe('nginx with TLS 1.3: a handshake is two turns', () => {
    const site = 'keepalive_timeout 3s; default_type text/plain; location / { return 200 "hello"; }';
    const getFiveTimes = async (socket: TLSSocket) => {
      for (let sent = 0; sent < 5; sent++) {
        socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
        await once(socket, 'data');
      }
    };
    const startTls = async () => {
      const nginx = await use(startNginx(site, { tls: true }));
      // The two tickets leave in a send each.
      const tally = observe(nginx, {}, { extendGapNs: NS_PER_S });
      const options = { port: nginx.port, host: '127.0.0.1', rejectUnauthorized: false, allowHalfOpen: true };
      const socket = connectTls(options);
      cleanups.push(() => socket.destroy());
      // ClientHello is answered by the server's handshake up to Finished; the client's Finished by two session tickets.
      let tickets = 0;
      await new Promise<void>((resolve) => socket.on('session', () => ++tickets === 2 && resolve()));
      expect(await tally.settle({ requests: 2, unsolicited: 0 })).toEqual({ requests: 2, unsolicited: 0 });
      return { tally, socket };
    };

    it("the server's close_notify, seconds after the last reply, is unsolicited", async () => {
      const { tally, socket } = await startTls();
      await getFiveTimes(socket);
      await tally.settle({ requests: 7 });
      const answeredNs = tally.latency.sumNs;
      await once(socket, 'end');

      const expected = { arrivals: 7, requests: 7, abandoned: 0, unsolicited: 1, inFlight: 0 };
      expect(await tally.settle(expected)).toEqual(expected);
      expectConserved(tally);
      expect(tally.latency.sumNs).toBe(answeredNs);
    });

    it("the client's close_notify is a turn that the server abandons", async () => {
      const { tally, socket } = await startTls();
      await getFiveTimes(socket);
      socket.end();
      await once(socket, 'close');

      const expected = { arrivals: 8, requests: 7, abandoned: 1, unsolicited: 0, inFlight: 0 };
      expect(await tally.settle(expected)).toEqual(expected);
      expectConserved(tally);
    });
  });
});

/** Makes one request on a connection of its own and @returns the bytes of its reply, as far as they come in one piece. */
async function replySize(server: Server, request: string): Promise<number> {
  const one = await RawClient.connect(server.port);
  one.send(request);
  const [reply] = (await once(one.socket, 'data')) as [Buffer];
  await one.close();
  return reply.length;
}

describe('what a turn is', () => {
  it('bytes that a partial read leaves keep their arrival', async () => {
    const server = await use(fixture.scripted.start('r1 w5 s1'));
    const tally = observe(server);
    const one = await client(server);
    await one.exchange('1234567', 7);

    expect(await tally.settle({ requests: 7, inFlight: 0 })).toEqual({ requests: 7, inFlight: 0 });
    expectConserved(tally);
    // The n-th byte waited while n - 1 others were served, for 5 ms each.
    expect(tally.socketWait.sumNs).toBeGreaterThanOrEqual((0 + 1 + 2 + 3 + 4 + 5 + 6) * 5 * NS_PER_MS);
    expect(tally.handlingTime.sumNs).toBeGreaterThanOrEqual(7 * 5 * NS_PER_MS);
  });

  it('several reads before a send are one turn', async () => {
    const server = await use(fixture.scripted.start('r1 w2 r1 w2 r1 s1'));
    const tally = observe(server);
    const one = await client(server);
    for (let turn = 0; turn < 13; turn++) await one.exchange('abc', 1);

    expect(await tally.settle({ requests: 13, inFlight: 0 })).toEqual({ requests: 13, inFlight: 0 });
    expectConserved(tally);
    expect(tally.handlingTime.sumNs).toBeGreaterThanOrEqual(13 * 4 * NS_PER_MS);
  });

  it('bytes that arrive one by one are one turn, from the first of them on', async () => {
    const server = await use(fixture.scripted.start('R40 s1'));
    const tally = observe(server);
    const one = await client(server);
    for (let sent = 0; sent < 40; sent++) {
      one.send('x');
      await sleep(2);
    }
    await one.receive(1);

    expect(await tally.settle({ requests: 1, inFlight: 0 })).toEqual({ requests: 1, inFlight: 0 });
    // A timer of Node's may be early, by less than a ms.
    expect(tally.latency.sumNs).toBeGreaterThanOrEqual(39 * 1 * NS_PER_MS);
  });

  it('what arrives while a reply is made is the next turn, with its own arrival', async () => {
    const server = await use(fixture.scripted.start('r1 q1 w20 s1 r1 s1 w600000'));
    const tally = observe(server);
    const one = await client(server);
    const sentA = performance.now();
    one.send('a');
    await sleep(400);
    const sentB = performance.now();
    one.send('b');
    await one.receive(2);

    expect(await tally.settle({ arrivals: 2, requests: 2, inFlight: 0 })).toEqual({
      arrivals: 2,
      requests: 2,
      inFlight: 0,
    });
    const counted = performance.now();
    expectConserved(tally);
    // b waited for the last 20 ms of the 420 ms that a was handled, and for none of those before.
    expect(tally.socketWait.sumNs).toBeGreaterThanOrEqual(20 * NS_PER_MS);
    expect(tally.latency.sumNs).toBeLessThan((counted - sentA + (counted - sentB)) * NS_PER_MS);
  });

  it('more arrivals than can be remembered one by one keep the earliest times', async () => {
    const server = await use(fixture.scripted.start('q40 r1 s1 r1 s1 r1 s1 w600000'));
    const tally = observe(server);
    const one = await client(server);
    for (let sent = 0; sent < 40; sent++) {
      one.send('x');
      await sleep(2);
    }
    await one.receive(3);

    // The fourth byte is there, unread.
    expect(await tally.settle({ arrivals: 4, requests: 3, inFlight: 1 })).toEqual({
      arrivals: 4,
      requests: 3,
      inFlight: 1,
    });
    expectConserved(tally);
    // A timer of Node's may be early, by less than a ms.
    expect(tally.socketWait.sumNs).toBeGreaterThanOrEqual((39 + 38 + 37) * 1 * NS_PER_MS);
  });

  it('arrivals are told apart though their sequence numbers have come half around', async () => {
    const halfBytes = 1_150_000_000;
    const server = await use(fixture.scripted.start(`R${halfBytes} R${halfBytes} q2 w5 s1 r1 s1 r1 s1`));
    const tally = observe(server);
    const one = await client(server);
    const started = performance.now();
    await one.sendZeros(2 * halfBytes);
    const uploadNs = (performance.now() - started) * NS_PER_MS;
    one.send('ab');
    await one.receive(3);

    expect(await tally.settle({ requests: 3, inFlight: 0 })).toEqual({ requests: 3, inFlight: 0 });
    expectConserved(tally);
    // a and b came after the upload, and waited for some ms.
    expect(tally.latency.sumNs).toBeGreaterThan(uploadNs / 2);
    expect(tally.socketWait.sumNs).toBeLessThan(uploadNs);
  });

  it('a look with MSG_PEEK is no read', async () => {
    const server = await use(fixture.scripted.start('p1 w20 r1 s1'));
    const tally = observe(server);
    const one = await client(server);
    for (let turn = 0; turn < 5; turn++) await one.exchange('a', 1);

    expect(await tally.settle({ requests: 5, inFlight: 0 })).toEqual({ requests: 5, inFlight: 0 });
    expect(tally.socketWait.sumNs).toBeGreaterThanOrEqual(5 * 20 * NS_PER_MS);
  });

  it('a late read shows as socket wait', async () => {
    const server = await use(fixture.scripted.start('q1 w200 r1 s1'));
    const tally = observe(server);
    const one = await client(server);
    for (let turn = 0; turn < 5; turn++) await one.exchange('a', 1);

    expect(await tally.settle({ requests: 5, inFlight: 0 })).toEqual({ requests: 5, inFlight: 0 });
    expectConserved(tally);
    expect(tally.socketWait.sumNs).toBeGreaterThanOrEqual(5 * 200 * NS_PER_MS);
    expect(tally.handlingTime.sumNs).toBeLessThan(tally.socketWait.sumNs);
  });

  it('a FIN right behind a request is no arrival', async () => {
    const server = await use(fixture.scripted.start('q1 w20 r4 w20 s1'));
    const tally = observe(server);
    for (const request of ['a', 'abcd']) {
      const one = await client(server);
      one.send(request);
      one.finishSending();
      await one.receive(1);
      await one.ended();
    }

    const expected = { arrivals: 2, requests: 2, abandoned: 0, unsolicited: 0, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expect(tally.socketWait.sumNs).toBeGreaterThanOrEqual(2 * 20 * NS_PER_MS);
  });

  it('a greeting is unsolicited', async () => {
    const server = await use(fixture.scripted.start('s5 w1 R3 s1 c'));
    const tally = observe(server);
    const one = await client(server);
    await one.receive(5);
    await one.exchange('abc', 1);

    const expected = { requests: 1, unsolicited: 1, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectConserved(tally);
  });
});

/** Makes so many exchanges of a byte, and thinks before each sixth. @returns how long it waited for the replies, in ns */
async function exchangeBytes(one: RawClient, turns: number, thinkMs = 0): Promise<number> {
  let waitedNs = 0;
  for (let turn = 0; turn < turns; turn++) {
    if (thinkMs > 0 && turn % 6 === 5) await sleep(thinkMs);
    waitedNs += await timed(() => one.exchange('a', 1));
  }
  return waitedNs;
}

async function timed(act: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await act();
  return (performance.now() - started) * NS_PER_MS;
}

/**
 * No request has arrived before its client sent it. A server that is held up right after a send may be taken to have sent
 * when the next request came, hence some room: an arrival that is taken for an earlier segment's is too early by more.
 */
function expectNoneEarly(tally: Tally, waitedNs: number): void {
  expect(tally.latency.sumNs).toBeLessThan(waitedNs + 100 * NS_PER_MS);
}

/** Of such connections the probes ask TCP when a request arrived, as long as nothing else may have moved what it says. */
describe('a client that waits for each reply before it goes on', () => {
  it.each([
    ['at once', 'r1 s1', { turns: 500, thinkMs: 0, unreadMs: 0 }],
    ['or thinks for longer than it delays its ACK', 'r1 s1', { turns: 60, thinkMs: 70, unreadMs: 0 }],
    ['to a server that reads later than that', 'q1 w100 r1 s1', { turns: 9, thinkMs: 0, unreadMs: 100 }],
    ['to one that sends keepalives meanwhile', 'k1 q1 w1300 r1 s1', { turns: 3, thinkMs: 0, unreadMs: 1300 }],
    ['to one that is not told of single bytes', 'l5 r1 s1', { turns: 50, thinkMs: 0, unreadMs: 0 }],
  ])('%s', async (_, script, { turns, thinkMs, unreadMs }) => {
    const server = await use(fixture.scripted.start(script));
    const tally = observe(server);
    const waitedNs = await exchangeBytes(await client(server), turns, thinkMs);
    expect(tally.read().inFlight).toBeGreaterThanOrEqual(0);

    const expected = { arrivals: turns, requests: turns, unsolicited: 0, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectConserved(tally);
    expect(tally.socketWait.sumNs).toBeGreaterThanOrEqual(turns * unreadMs * NS_PER_MS);
    expectNoneEarly(tally, waitedNs);
  });

  it('to a server that reads in two threads', async () => {
    const server = await use(fixture.scripted.start('j r1 s1'));
    const tally = observe(server);
    const waitedNs = await exchangeBytes(await client(server), 500);

    // One thread may read the next request before the probe at the other one's send has run: then both are one.
    expect(await tally.settle({ inFlight: 0 })).toEqual({ inFlight: 0 });
    expectConserved(tally);
    expect(tally.counts.requests).toBeLessThanOrEqual(500);
    expectNoneEarly(tally, waitedNs);
  });

  it('and then sends requests in two segments', async () => {
    const server = await use(fixture.scripted.start('q2 r2 s1'));
    const tally = observe(server);
    const one = await client(server);
    let waitedNs = 0;
    for (let round = 0; round < 11; round++) {
      waitedNs += await timed(() => one.exchange('ab', 1));
      waitedNs += await timed(async () => {
        one.send('a');
        await sleep(10);
        await one.exchange('b', 1);
      });
    }

    expect(await tally.settle({ requests: 22, inFlight: 0 })).toEqual({ requests: 22, inFlight: 0 });
    expectConserved(tally);
    // The first segment of each second request waited for the other one; timers may fire a millisecond early.
    expect(tally.socketWait.sumNs).toBeGreaterThanOrEqual(11 * 8 * NS_PER_MS);
    expectNoneEarly(tally, waitedNs);
  });

  it('and then sends several requests in one segment', async () => {
    const server = await use(fixture.scripted.start('r1 w2 s1'));
    const tally = observe(server);
    const one = await client(server);
    let waitedNs = 0;
    for (let round = 0; round < 11; round++) {
      waitedNs += await exchangeBytes(one, 2);
      waitedNs += 3 * (await timed(() => one.exchange('abc', 3)));
    }

    expect(await tally.settle({ requests: 55, inFlight: 0 })).toEqual({ requests: 55, inFlight: 0 });
    expectConserved(tally);
    expect(tally.socketWait.sumNs).toBeGreaterThanOrEqual(11 * (2 + 4) * NS_PER_MS);
    expectNoneEarly(tally, waitedNs);
  });

  it('and then does not', async () => {
    const server = await use(fixture.scripted.start('r1 s1'));
    const tally = observe(server);
    const clients = await Promise.all(Array.from({ length: 4 }, () => client(server)));
    let waitedNs = 0;
    let sent = 0;
    await Promise.all(
      clients.map(async (one, index) => {
        for (let round = 0; round < 100; round++) {
          const bytes = 1 + (((round * 5 + index * 3) % 7) >> 1);
          sent += bytes;
          if (round % 30 === index) await sleep(50);
          waitedNs += bytes * (await timed(() => sendOneByOne(one, bytes, (round + index) % 3)));
        }
      }),
    );

    const expected = { arrivals: sent, requests: sent, unsolicited: 0, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectConserved(tally);
    expectNoneEarly(tally, waitedNs);
  });

  it.each([
    ['is not read', 'r1 s1 r1 s1 r1 s1 q1 w5 c'],
    ['is not answered', 'r1 s1 r1 s1 r1 s1 r1 w5 c'],
  ])('and whose last request %s', async (_, script) => {
    const server = await use(fixture.scripted.start(script));
    const tally = observe(server);
    const clients = await Promise.all(Array.from({ length: 5 }, () => client(server)));
    await Promise.all(
      clients.map(async (one) => {
        await exchangeBytes(one, 3);
        one.send('a');
        await one.ended();
      }),
    );

    const expected = { arrivals: 20, requests: 15, abandoned: 5, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectConserved(tally);
  });
});

/** Sends so many bytes in segments of their own, and then waits for as many. */
async function sendOneByOne(one: RawClient, bytes: number, pauseMs: number): Promise<void> {
  for (let sent = 0; sent < bytes; sent++) {
    if (sent > 0 && pauseMs > 0) await sleep(pauseMs);
    one.send('x');
  }
  await one.receive(bytes);
}

describe('replies in several sends', () => {
  it('a send within the gap extends the turn, one after it is unsolicited', async () => {
    const server = await use(fixture.scripted.start('r1 s1 w5 s1 w5 s1 w1500 s1'));
    const tally = observe(server, { sloLatencyNs: 9 * NS_PER_MS }, { extendGapNs: NS_PER_S });
    const clients = await Promise.all(Array.from({ length: 3 }, () => client(server)));
    await Promise.all(clients.map((one) => one.exchange('a', 4)));

    const expected = { requests: 3, unsolicited: 3, overSlo: 3, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectConserved(tally);
    expect(tally.latency.sumNs).toBeGreaterThanOrEqual(3 * 10 * NS_PER_MS);
    expect(tally.latency.maxNs).toBeLessThan(1500 * NS_PER_MS);
  });

  it('turns move from bucket to bucket: none is lost, none is counted twice once all is read at the end', async () => {
    const server = await use(fixture.scripted.start('r1 s1 w3 s1 w3 s1'));
    const tally = observe(server);
    const clients = await Promise.all(Array.from({ length: 5 }, () => client(server)));
    await Promise.all(
      clients.map(async (one) => {
        for (let turn = 0; turn < 21; turn++) await one.exchange('a', 3);
      }),
    );

    expect(await tally.settle({ requests: 105, inFlight: 0 })).toEqual({ requests: 105, inFlight: 0 });
    expectConserved(tally);
    for (const histogram of [tally.latency, tally.socketWait, tally.handlingTime]) {
      expect(histogram.count).toBeGreaterThanOrEqual(105);
    }
  });

  it('with no gap at all every further send is unsolicited', async () => {
    const server = await use(fixture.scripted.start('r1 s1 w1 s1 s1'));
    const tally = observe(server, {}, { extendGapNs: 0 });
    const one = await client(server);
    await one.exchange('a', 3);

    const expected = { requests: 1, unsolicited: 2 };
    expect(await tally.settle(expected)).toEqual(expected);
  });

  it('a reply by sendfile is one turn', async () => {
    const server = await use(fixture.scripted.start('r1 f5000'));
    const tally = observe(server, {}, PATIENT);
    const one = await client(server);
    for (let turn = 0; turn < 13; turn++) await one.exchange('a', 5000);

    const expected = { requests: 13, unsolicited: 0, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectConserved(tally);
  });

  it('2 MB through a small buffer is one turn, though the client takes longer than the gap', async () => {
    const bytes = 2 << 20;
    const server = await use(fixture.scripted.start(`b4096 r1 n${bytes}`));
    const tally = observe(server, {}, { extendGapNs: NS_PER_MS });
    const one = await client(server);
    one.send('a');
    one.socket.pause();
    await sleep(150);
    one.socket.resume();
    await one.receive(bytes);

    const expected = { requests: 1, unsolicited: 0, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectConserved(tally);
    expect(tally.latency.sumNs).toBeGreaterThanOrEqual(140 * NS_PER_MS);
  });
});

describe('turns that are not answered', () => {
  it('are in flight, grow old, and are a stall in the end', async () => {
    const server = await use(fixture.scripted.start('r1 w600000'));
    const tally = observe(server);
    const clients = await Promise.all(Array.from({ length: 3 }, () => client(server)));
    const sent = performance.now();
    for (const one of clients) one.send('a');
    await expect.poll(() => tally.read().inFlight, PATIENCE).toBeGreaterThan(0);
    expect(tally.last!.health).toBe('active');
    await expect.poll(() => tally.read().health, PATIENCE).toBe('stall');
    expect(performance.now() - sent).toBeGreaterThan(1000);
    // The walk that finds it comes the more seldom the longer it takes.
    await expect.poll(() => tally.read().oldestInFlightNs, PATIENCE).toBeGreaterThanOrEqual(1300 * NS_PER_MS);
    expect(tally.last!.oldestInFlightNs).toBeLessThan((performance.now() - sent) * NS_PER_MS);
    expect(tally.last).toMatchObject({ health: 'stall', inFlight: 3 });
    expect(tally.counts.arrivals).toBe(3);
  });

  it('nobody has read them: they are in flight all the same', async () => {
    const server = await use(fixture.scripted.start('w600000'));
    const tally = observe(server);
    const one = await client(server);
    one.send('a');
    expect(await tally.settle({ arrivals: 1, inFlight: 1 })).toEqual({ arrivals: 1, inFlight: 1 });
    await expect.poll(() => tally.read().oldestInFlightNs, PATIENCE).toBeGreaterThanOrEqual(100 * NS_PER_MS);
  });

  it.each([
    ['the client closes', 'r1 r1', (one: RawClient) => one.close()],
    ['the client resets', 'r1 r1', (one: RawClient) => one.reset()],
    ['the server closes', 'r1 w5 c', (one: RawClient) => one.ended()],
    ['the server closes without a read', 'q1 w5 c', (one: RawClient) => one.ended()],
    ['the server resets', 'r1 w5 x', (one: RawClient) => one.ended()],
    ['the server shuts its side down', 'r1 w5 h w100', (one: RawClient) => one.ended()],
  ])('are abandoned when %s', async (_, script, end) => {
    const server = await use(fixture.scripted.start(script));
    const tally = observe(server);
    const one = await client(server);
    one.send('a');
    expect(await tally.settle({ arrivals: 1 })).toEqual({ arrivals: 1 });
    await end(one);

    const expected = { arrivals: 1, requests: 0, abandoned: 1, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expect(tally.last!.oldestInFlightNs).toBe(0);
    expectConserved(tally);
  });

  it('the counters agree with a walk over all connections', async () => {
    const server = await use(fixture.scripted.start('R2 s1'));
    const sensor = open([{ name: 'server', ports: [server.port] }]);
    const tally = new Tally(sensor);
    const clients = await Promise.all(Array.from({ length: 11 }, () => client(server)));
    await Promise.all(clients.map((one) => one.exchange('ab', 1)));
    for (const one of clients.slice(0, 5)) one.send('a');

    expect(await tally.settle({ requests: 11, inFlight: 5 })).toEqual({ requests: 11, inFlight: 5 });
    expect(sensor).toBeInstanceOf(TurnSensor);
    expect((sensor as TurnSensor).walk()[0]!.inFlight).toBe(5);
  });

  it('arrivals = requests + in flight + abandoned, whatever clients do', async () => {
    const server = await use(fixture.scripted.start('r3 s2 r5 w1 s1 s1'));
    const tally = observe(server);
    await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        for (let round = 0; round < 5; round++) {
          const one = await RawClient.connect(server.port);
          for (let sent = 0; sent < 1 + ((index * 7 + round) % 5); sent++) one.send('x'.repeat(1 + (index % 9)));
          if (index % 3 !== 0) await sleep((index + round) % 4);
          await (index % 2 === 0 ? one.reset() : one.close());
        }
      }),
    );

    expect(await tally.settle({ inFlight: 0 })).toEqual({ inFlight: 0 });
    // Half of them close in good order, after a request or more. What the others have sent may be reset before it is seen.
    expect(tally.counts.arrivals).toBeGreaterThanOrEqual(40 * 5 * 0.5);
    expectConserved(tally);
  });
});

describe('which connections are seen', () => {
  it.each(['127.0.0.1', '::1'])('those to %s', async (host) => {
    const server = await use(fixture.scripted.start('r1 s1', host));
    const tally = observe(server);
    const one = await client(server, host);
    for (let turn = 0; turn < 17; turn++) await one.exchange('a', 1);

    expect(await tally.settle({ requests: 17, inFlight: 0 })).toEqual({ requests: 17, inFlight: 0 });
    expectConserved(tally);
  });

  it('several ports of a target, several targets, and nothing of other ports', async () => {
    const servers: Server[] = [];
    for (let index = 0; index < 4; index++) servers.push(await use(fixture.scripted.start('r1 s1')));
    const [a, b, c, other] = servers as [Server, Server, Server, Server];
    const [pair, single] = talliesOf([
      { name: 'pair', ports: [a.port, b.port] },
      { name: 'single', ports: [c.port] },
    ]);
    for (const [server, turns] of [
      [a, 11],
      [b, 13],
      [c, 17],
      [other, 19],
    ] as const) {
      const one = await client(server);
      for (let turn = 0; turn < turns; turn++) await one.exchange('a', 1);
    }

    for (const [tally, target, turns] of [
      [pair!, 'pair', 24],
      [single!, 'single', 17],
    ] as const) {
      const expected = { arrivals: turns, requests: turns, inFlight: 0 };
      expect(await tally.settle(expected)).toEqual(expected);
      expect(tally.last!.target).toBe(target);
    }
  });

  it('not those whose peer has the port, on this machine', async () => {
    const server = await use(fixture.scripted.start('r1 s1'));
    const one = await client(server);
    const clientPort = one.socket.localPort!;
    const [ofServer, ofClient] = talliesOf([
      { name: 'server', ports: [server.port] },
      { name: 'client', ports: [clientPort] },
    ]);
    for (let turn = 0; turn < 7; turn++) await one.exchange('a', 1);

    expect(await ofServer!.settle({ requests: 7 })).toEqual({ requests: 7 });
    // To a sensor on the client's port the server's replies are turns, answered by the next request; the last is not.
    expect(await ofClient!.settle({ requests: 6, inFlight: 1 })).toEqual({ requests: 6, inFlight: 1 });
  });

  it('those that were open before the sensor, from the next request on', async () => {
    const server = await use(fixture.scripted.start('r1 w800 s1 r1 s1 r1 s1 r1 s1 w600000'));
    const [idle, busy] = [await client(server), await client(server)];
    await idle.exchange('a', 1);
    busy.send('a');
    await sleep(30);
    const tally = observe(server);
    // The reply to what came before us is nothing to us.
    await busy.receive(1);
    expect(await tally.settle({ arrivals: 0, requests: 0, unsolicited: 0 })).toEqual({
      arrivals: 0,
      requests: 0,
      unsolicited: 0,
    });
    for (const one of [idle, busy]) for (let turn = 0; turn < 3; turn++) await one.exchange('a', 1);

    const expected = { arrivals: 6, requests: 6, unsolicited: 0, inFlight: 0 };
    expect(await tally.settle(expected)).toEqual(expected);
    expectConserved(tally);
  });

  it('not those of another network namespace', async () => {
    const port = await freePort();
    const sensor = open([{ name: 'server', ports: [port] }]);
    const answer = execFileSync('unshare', ['--net', 'sh', '-c', redisInNamespace(port)], { encoding: 'utf8' });
    expect(answer).toContain('PONG');
    expect(sensor.read()[0]).toMatchObject({ arrivals: 0, requests: 0, unsolicited: 0, dropped: 0 });
  });

  it('by two sensors at a time', async () => {
    const server = await use(fixture.scripted.start('r1 s1'));
    const tallies = [observe(server), observe(server)];
    const one = await client(server);
    for (let turn = 0; turn < 5; turn++) await one.exchange('a', 1);

    for (const tally of tallies) {
      expect(await tally.settle({ requests: 5, inFlight: 0 })).toEqual({ requests: 5, inFlight: 0 });
    }
  });
});

const redisInNamespace = (port: number): string => `
  ip link set lo up
  redis-server --port ${port} --save '' --dir /tmp --bind 127.0.0.1 >/dev/null & server=$!
  for try in $(seq 100); do redis-cli -p ${port} ping 2>/dev/null | grep PONG && break; sleep 0.05; done
  kill $server; wait $server 2>/dev/null; true`;

describe('alarms', () => {
  it('one of a kind a window: arrival after idle, a long wait, too many late', async () => {
    const server = await use(fixture.scripted.start('q1 w20 r1 s1'));
    const alarm = { lateBudget: 3, waitBudgetNs: 5 * NS_PER_MS };
    const sensor = open([{ name: 'server', ports: [server.port], sloLatencyNs: NS_PER_MS, alarm }]);
    const alarms = sensor.alarms!;
    const epoll = new Epoll();
    cleanups.push(() => epoll.close());
    epoll.add(alarms.fd, 1);
    const heard: string[] = [];
    const listen = () => {
      heard.push(...alarms.drain().map(({ target, kind }) => `${target}: ${kind}`));
      return heard;
    };
    /** All since the beginning, and no more. */
    const hears = async (...kinds: string[]) => {
      const expected = kinds.map((kind) => `server: ${kind}`);
      await expect.poll(listen, PATIENCE).toEqual(expected);
      await sleep(20);
      expect(listen()).toEqual(expected);
    };
    const one = await client(server);

    expect(epoll.wait(0)).toEqual([]);
    one.send('a');
    expect(epoll.wait(5000)).toEqual([1]);
    expect(listen()[0]).toBe('server: arrival-after-idle');
    await one.receive(1);
    await hears('arrival-after-idle', 'waiting');

    for (let turn = 0; turn < 5; turn++) await one.exchange('a', 1);
    await hears('arrival-after-idle', 'waiting', 'late');

    // The next window: there were turns in this one, so the target is not idle.
    const tally = new Tally(sensor);
    expect(tally.read().health).toBe('active');
    for (let turn = 0; turn < 5; turn++) await one.exchange('a', 1);
    await hears('arrival-after-idle', 'waiting', 'late', 'waiting', 'late');
    expect(epoll.wait(0)).toEqual([]);
    expect(await tally.settle({ overSlo: 11 })).toEqual({ overSlo: 11 });
  });

  it('none of a kind that is disarmed, until the next window', async () => {
    const server = await use(fixture.scripted.start('q1 w20 r1 s1'));
    const alarm = { lateBudget: 3, waitBudgetNs: 5 * NS_PER_MS };
    const sensor = open([{ name: 'server', ports: [server.port], sloLatencyNs: NS_PER_MS, alarm }]);
    const alarms = sensor.alarms!;
    const kinds = () => alarms.drain().map(({ kind }) => kind);
    const one = await client(server);
    const exchange = async () => {
      for (let turn = 0; turn < 5; turn++) await one.exchange('a', 1);
      await sleep(20);
    };

    await exchange();
    kinds();
    sensor.read();
    alarms.disarm('server', 'late');
    await exchange();
    expect(kinds()).toEqual(['waiting']);
    sensor.read();
    alarms.disarm('somebody else', 'late');
    await exchange();
    expect(kinds()).toEqual(['waiting', 'late']);
  });

  it('takes a share of very many, and a single wait where few come', async () => {
    const server = await use(fixture.scripted.start('q1 w20 r1 s1'));
    const alarm = { lateBudget: 1, lateRatio: 0.5, waitBudgetNs: 5 * NS_PER_MS, waitingRatio: 0.75 };
    // By a clock that stands still a few requests are very many.
    let standsStill = false;
    let nowNs = 0n;
    const monotonicNs = () => (standsStill ? nowNs : (nowNs = systemClock.monotonicNs()));
    const clock = { ...systemClock, monotonicNs };
    const sensor = open([{ name: 'server', ports: [server.port], sloLatencyNs: NS_PER_MS, alarm }], { clock });
    const alarms = sensor.alarms!;
    const one = await client(server);
    let seen = 0;
    /** Reads without arming, until all of them were seen; the kinds of alarm that they raised while it was busy. */
    const exchange = async (turns: number) => {
      const expected = seen + turns;
      for (let turn = 0; turn < turns; turn++) await one.exchange('a', 1);
      await expect.poll(() => (seen += sensor.read(true)[0]!.requests), PATIENCE).toBe(expected);
      await sleep(20);
      const kinds = alarms.drain().map(({ kind }) => kind);
      return kinds.filter((kind) => kind !== 'arrival-after-idle');
    };

    // Some a second: one of each kind is enough.
    expect(await exchange(4)).toEqual(['waiting', 'late']);
    sensor.read();
    expect(await exchange(1)).toEqual(['waiting', 'late']);
    sensor.read();

    // A window of four in no time: then it takes two late ones, and three that waited.
    standsStill = true;
    sensor.read();
    expect(await exchange(4)).toEqual(['waiting', 'late']);
    sensor.read();
    expect(await exchange(1)).toEqual([]);
    expect(await exchange(1)).toEqual(['late']);
    expect(await exchange(1)).toEqual(['waiting']);

    // Armed anew in between, by the same budget.
    sensor.read(true, true);
    expect(await exchange(2)).toEqual([]);
    expect(await exchange(1)).toEqual(['waiting']);
  });

  it('none where none was asked for', async () => {
    const server = await use(fixture.scripted.start('q1 w10 r1 s1'));
    const sensor = open([{ name: 'server', ports: [server.port], sloLatencyNs: NS_PER_MS }]);
    const one = await client(server);
    for (let turn = 0; turn < 3; turn++) await one.exchange('a', 1);
    expect(await new Tally(sensor).settle({ overSlo: 3 })).toEqual({ overSlo: 3 });
    expect(sensor.alarms!.drain()).toEqual([]);
  });
});

describe('the sensor', () => {
  it('tells the CPU time of the processes that serve', async () => {
    const redis = await use(startRedis());
    const tally = observe(redis);
    expect(tally.read().cpuTimeNs).toBeNull();
    const one = await client(redis);
    const busyFor = async (ms: number) => {
      const end = performance.now() + ms;
      while (performance.now() < end) await one.exchange(PING.repeat(500), 500 * PONG_BYTES);
    };
    // Looks are a second apart, or more where one took long.
    const deadline = performance.now() + PATIENCE.timeout;
    do await busyFor(1100);
    while (tally.read().cpuTimeNs === null && performance.now() < deadline);
    const { cpuTimeNs, busiestThreadRatio, windowNs } = tally.last!;
    expect(cpuTimeNs).toBeGreaterThan(0);
    expect(cpuTimeNs).toBeLessThanOrEqual(2 * windowNs);
    expect(busiestThreadRatio).toBeGreaterThan(0);
    expect(busiestThreadRatio).toBeLessThanOrEqual(1);
  });

  it('is idle while nothing happens, and windows follow one another', async () => {
    const server = await use(fixture.scripted.start('r1 s1'));
    const tally = observe(server);
    const first = tally.read();
    await sleep(10);
    const second = tally.read();
    expect([first.health, second.health]).toEqual(['idle', 'idle']);
    expect(Number(second.atNs - first.atNs)).toBe(second.windowNs);
    expect(second).toMatchObject({ method: 'tracepoint', unit: 'turn', target: 'server', inFlight: 0 });
  });

  it('leaves nothing behind when it is closed, and says so when it is read', async () => {
    const server = await use(fixture.scripted.start('r1 s1'));
    const sensor = openSensor({
      targets: [{ name: 'server', ports: [server.port] }],
      objectDirectory: fixture.bpf.directory,
    });
    expect(bpfOfThisProcess().length).toBeGreaterThanOrEqual(4);
    sensor.close();
    sensor.close();
    expect(bpfOfThisProcess()).toEqual([]);
    expect(() => sensor.read()).toThrow(SensorError);
  });

  it('measures with fentry where it is asked to, or says that the kernel may be locked down', () => {
    try {
      const sensor = open([{ name: 'server', ports: [1] }], { method: 'fentry' });
      expect(sensor.read()[0]!.method).toBe('fentry');
    } catch (error) {
      expect(error).toBeInstanceOf(SensorError);
      expect((error as Error).message).toMatch(
        /does not permit method 'fentry', though this is root: it is locked down/,
      );
    }
  });

  it('says what to do where the compiled probes are not', () => {
    expect(() => openSensor({ targets: [{ name: 'server', ports: [1] }], objectDirectory: '/nowhere' })).toThrow(
      /\/nowhere\/turns\.bpf\.o.*npm run build/,
    );
  });
});

/** The ids of the BPF programs and links that this process holds open. */
function bpfOfThisProcess(): readonly string[] {
  return readdirSync('/proc/self/fdinfo').flatMap((fd) => {
    try {
      return /^(?:prog|link)_id:.*$/gm.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')) ?? [];
    } catch (error) {
      // The descriptor of the folder itself is gone by now.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  });
}
