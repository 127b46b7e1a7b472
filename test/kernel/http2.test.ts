import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2, createSecureServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { NS_PER_MS, NS_PER_S } from '../../src/core/units.ts';
import { openSensor, type SensorOptions, type TargetSpec } from '../../src/sensor/open-sensor.ts';
import { TurnSensor } from '../../src/sensor/turn-sensor.ts';
import { GrpcClient, type GrpcServer, respond, startGrpc, unary } from './support/grpc.ts';
import {
  clientStart,
  END_HEADERS,
  END_STREAM,
  frame,
  PADDED,
  PREFACE,
  PRIORITY,
  request,
  response,
  serverStart,
  streamIds,
} from './support/http2-frames.ts';
import { RawClient } from './support/raw-client.ts';
import { sensorFixture } from './support/sensor-fixture.ts';
import { startNghttpd, startNginx } from './support/servers.ts';
import { type Counts, WholeRun } from './support/whole-run.ts';

const run = promisify(execFile);

const fixture = sensorFixture();
const { cleanups, use, client } = fixture;

function grpcClient(server: GrpcServer): GrpcClient {
  const connected = new GrpcClient(server.port);
  cleanups.push(() => connected.close());
  return connected;
}

function open(ports: readonly number[], target: Partial<TargetSpec> = {}, options: Partial<SensorOptions> = {}) {
  const targets = [{ name: 'server', ports, ...target }];
  const sensor = openSensor({ targets, objectDirectory: fixture.bpf.directory, ...options });
  cleanups.push(() => sensor.close());
  return sensor;
}

const observe = (server: { port: number }, ...more: [Partial<TargetSpec>?, Partial<SensorOptions>?]): WholeRun =>
  new WholeRun(open([server.port], ...more));
/** Takes no pause for one of a conversation: where other work has the CPUs, the frames of one reply lie far apart. */
const observePatiently = (server: { port: number }): WholeRun => observe(server, {}, { extendGapNs: 20 * NS_PER_S });

/** The counts come to be as expected, stay so, and hang together. */
async function expectCounts(whole: WholeRun, expected: Partial<Counts>): Promise<void> {
  expect(await whole.settle(expected)).toEqual(expected);
  const { arrivals, requests, abandoned, streaming, inFlight, unit } = whole.read();
  expect(arrivals).toBe(requests + abandoned + (unit === 'stream' ? streaming : 0) + inFlight);
  const { latency, socketWait, handlingTime } = whole.snapshot;
  for (const histogram of [latency, socketWait, handlingTime]) expect(histogram.count).toBe(requests);
  expect(latency.sumNs).toBe(socketWait.sumNs + handlingTime.sumNs);
}

const PATIENCE = { timeout: 20_000 };
const NOTHING_AMISS = { abandoned: 0, dropped: 0, inFlight: 0, lostConnections: 0 };

describe('every stream of real servers is counted', () => {
  it('gRPC over Node: 1,009 unary calls over 7 connections', async () => {
    const server = await use(startGrpc({ '/unary': unary }));
    const whole = observePatiently(server);
    const clients = Array.from({ length: 7 }, () => grpcClient(server));
    let left = 1009;
    const started = performance.now();
    await Promise.all(
      clients.map(async (each) => {
        while (left-- > 0) expect(await each.call('/unary')).toEqual({ status: '0', bytes: 10 });
      }),
    );
    const elapsedNs = (performance.now() - started) * NS_PER_MS;

    const streams = { unit: 'stream', arrivals: 1009, requests: 1009, firstResponses: 1009, streaming: 0 } as const;
    await expectCounts(whole, { ...streams, ...NOTHING_AMISS, streamConnections: 7, turnConnections: 0, others: 0 });
    expect(whole.snapshot.latency.sumNs).toBeLessThan(7 * elapsedNs);
    expect(whole.snapshot.http2!.firstResponse.sumNs).toBeLessThanOrEqual(whole.snapshot.latency.sumNs);
  });

  it('gRPC over Node: 701 unary calls, 100 in flight on one connection', async () => {
    const server = await use(startGrpc({ '/unary': unary }));
    const whole = observePatiently(server);
    const one = grpcClient(server);
    let left = 701;
    await Promise.all(
      Array.from({ length: 100 }, async () => {
        while (left-- > 0) await one.call('/unary');
      }),
    );

    await expectCounts(whole, { ...NOTHING_AMISS, unit: 'stream', requests: 701, streamConnections: 1 });
  });

  it.each([1, 100])('nghttpd and h2load: 10,007 requests, %d in flight on each of 7 connections', async (inFlight) => {
    const files = mkdtempSync(join(tmpdir(), 'tailgov-files-'));
    cleanups.push(() => rmSync(files, { recursive: true }));
    writeFileSync(join(files, 'file'), 'x'.repeat(3000));
    const server = await use(startNghttpd(files));
    const whole = observePatiently(server);
    const url = `http://127.0.0.1:${server.port}/file`;
    const { stdout } = await run('h2load', ['-n', '10007', '-c', '7', '-m', `${inFlight}`, url]);
    expect(stdout).toContain('10007 succeeded');

    await expectCounts(whole, { ...NOTHING_AMISS, unit: 'stream', requests: 10_007, streamConnections: 7, others: 0 });
  });

  it('nginx and h2load: 503 files of 300 kB by sendfile, 5 in flight', async () => {
    const files = mkdtempSync(join(tmpdir(), 'tailgov-files-'));
    cleanups.push(() => rmSync(files, { recursive: true }));
    writeFileSync(join(files, 'file'), 'x'.repeat(300_000));
    const server = await use(startNginx(`root ${files}; sendfile on;`, { http2: true }));
    const whole = observePatiently(server);
    const { stdout } = await run('h2load', ['-n', '503', '-c', '2', '-m', '5', `http://127.0.0.1:${server.port}/file`]);
    expect(stdout).toContain('503 succeeded');

    await expectCounts(whole, { ...NOTHING_AMISS, unit: 'stream', requests: 503, streamConnections: 2 });
  });
});

describe('what is a request and what is streaming', () => {
  it('a subscription is classed apart once it pauses, and does not touch the tail', async () => {
    const subscription = async (call: ServerHttp2Stream) => {
      const reply = respond(call);
      for (let sent = 0; sent < 5; sent++) {
        reply.send('news');
        await sleep(150);
      }
      reply.end();
    };
    const server = await use(startGrpc({ '/unary': unary, '/subscription': subscription }));
    const whole = observe(server);
    const one = grpcClient(server);
    const subscriptions = Array.from({ length: 3 }, () => one.call('/subscription'));
    const began = performance.now();
    for (let sent = 0; sent < 11; sent++) await one.call('/unary');
    const elapsedNs = (performance.now() - began) * NS_PER_MS;
    await Promise.all(subscriptions);

    const expected = { arrivals: 14, requests: 11, streaming: 3, firstResponses: 14 };
    await expectCounts(whole, { ...NOTHING_AMISS, ...expected, unit: 'stream' });
    // One after the other, by a server in this thread.
    expect(whole.snapshot.latency.sumNs).toBeLessThan(elapsedNs);
  });

  it('one that was begun and then is quiet leaves what is in flight', async () => {
    const server = await use(startGrpc({ '/quiet': (call) => respond(call).send('hello') }));
    const whole = observe(server);
    const one = grpcClient(server);
    void one.call('/quiet');

    await expectCounts(whole, { ...NOTHING_AMISS, arrivals: 1, requests: 0, streaming: 1 });
  });

  it('a stream of messages at once is one request', async () => {
    const burst = (call: ServerHttp2Stream) => {
      const reply = respond(call);
      for (let sent = 0; sent < 50; sent++) reply.send('message');
      reply.end();
    };
    const server = await use(startGrpc({ '/burst': burst }));
    const whole = observe(server);
    const one = grpcClient(server);
    for (let sent = 0; sent < 13; sent++) expect((await one.call('/burst')).bytes).toBe(50 * 12);

    await expectCounts(whole, { ...NOTHING_AMISS, requests: 13, streaming: 0 });
  });

  it('a late answer is no pause: not before the headers, not after them', async () => {
    const late = (call: ServerHttp2Stream) => {
      setTimeout(() => {
        const reply = respond(call);
        setTimeout(() => {
          reply.send('late');
          reply.end();
        }, 120);
      }, 120);
    };
    const server = await use(startGrpc({ '/late': late }));
    const whole = observe(server, { sloLatencyNs: 200 * NS_PER_MS });
    const one = grpcClient(server);
    await Promise.all(Array.from({ length: 5 }, () => one.call('/late')));

    await expectCounts(whole, { ...NOTHING_AMISS, requests: 5, overSlo: 5, streaming: 0 });
    expect(whole.snapshot.handlingTime.sumNs).toBeGreaterThanOrEqual(5 * 235 * NS_PER_MS);
    expect(whole.snapshot.http2!.firstResponse.sumNs).toBeLessThan(whole.snapshot.latency.sumNs);
  });

  it('an end that comes late is of the request: in trailers, in an empty frame', async () => {
    const late = (begin: (call: ServerHttp2Stream) => { send(text: string): void; end(): void }) => {
      return (call: ServerHttp2Stream) => {
        const reply = begin(call);
        reply.send('said');
        setTimeout(() => reply.end(), 120);
      };
    };
    const plain = (call: ServerHttp2Stream) => {
      call.respond({ ':status': 200 });
      return { send: (text: string) => call.write(text), end: () => call.end() };
    };
    const server = await use(startGrpc({ '/trailers': late(respond), '/empty': late(plain) }));
    const whole = observe(server);
    const one = grpcClient(server);
    await Promise.all(['/trailers', '/empty', '/trailers', '/empty'].map((path) => one.call(path)));

    await expectCounts(whole, { ...NOTHING_AMISS, requests: 4, streaming: 0 });
    expect(whole.snapshot.handlingTime.sumNs).toBeGreaterThanOrEqual(4 * 115 * NS_PER_MS);
  });

  it('a request whose body comes with pauses is a conversation', async () => {
    const server = await use(startGrpc({ '/unary': unary }));
    const whole = observe(server);
    const one = grpcClient(server);
    const upload = one.session.request({ ':method': 'POST', ':path': '/unary' });
    upload.write('first');
    await sleep(150);
    upload.end('last');
    upload.resume();
    await once(upload, 'close');
    await one.call('/unary');

    await expectCounts(whole, { ...NOTHING_AMISS, arrivals: 2, requests: 1, streaming: 1 });
  });

  it('time in the socket is of the stream: each has its own arrival though one read takes them all', async () => {
    const start = clientStart();
    const requests = streamIds(3).map(request);
    const bytes = requests.reduce((sum, { length }) => sum + length, 0);
    const replies = Buffer.concat(streamIds(3).map(response)).toString('hex');
    const server = await use(
      fixture.scripted.start(
        `R${start.length} d${serverStart().toString('hex')} q${bytes} r${bytes} d${replies} w600000`,
      ),
    );
    const whole = observe(server);
    const one = await client(server);
    one.send(start);
    await one.receive(serverStart().length);
    for (const [index, each] of requests.entries()) {
      if (index > 0) await sleep(40);
      one.send(each);
    }

    await expectCounts(whole, { ...NOTHING_AMISS, requests: 3 });
    // The first waited for the other two, the second for one.
    const { socketWait } = whole.snapshot;
    // A timer of Node's may be early, by less than a ms.
    expect(socketWait.sumNs).toBeGreaterThanOrEqual((39 + 39 + 39) * NS_PER_MS);
    expect(socketWait.sumNs).toBeLessThan(3 * socketWait.maxNs);
  });

  it('so have many that came before the first read of their connection, which shows that they are streams', async () => {
    const start = clientStart();
    const requests = streamIds(40).map(request);
    const bytes = requests.reduce((sum, { length }) => sum + length, start.length);
    const replies = Buffer.concat([serverStart(), ...streamIds(40).map(response)]).toString('hex');
    const server = await use(fixture.scripted.start(`q${bytes} r${bytes} d${replies} w600000`));
    const whole = observe(server);
    const one = await client(server);
    one.send(start);
    const sentMs: number[] = [];
    for (const each of requests) {
      await sleep(5);
      sentMs.push(performance.now());
      one.send(each);
    }

    await expectCounts(whole, { ...NOTHING_AMISS, requests: 40 });
    // One read took them all: each waited for so much less than the first as it came later.
    const { sumNs, maxNs } = whole.snapshot.socketWait;
    const laterNs = sentMs.reduce((sum, ms) => sum + (ms - sentMs[0]!) * NS_PER_MS, 0);
    expect(sumNs).toBeGreaterThan(0.95 * 40 * maxNs - laterNs);
    expect(sumNs).toBeLessThan(1.05 * 40 * maxNs - laterNs);
  });
});

describe('frames are followed however they are cut', () => {
  /** Everything that a client may send around its requests. */
  const talk = (streams: readonly number[]): Buffer =>
    Buffer.concat(
      streams.flatMap((stream) => [
        frame('ping', 0, 0, 8),
        frame('headers', PADDED | PRIORITY, stream, 17),
        frame('continuation', 0, stream, 3),
        frame('continuation', END_HEADERS, stream),
        frame('windowUpdate', 0, 0, 4),
        frame('data', PADDED, stream, 29),
        frame('priority', 0, stream, 5),
        frame('priorityUpdate', 0, 0, 6),
        frame('settings', 0x1, 0),
        frame('data', END_STREAM, stream),
        frame('windowUpdate', 0, stream, 4),
      ]),
    );
  const answer = (streams: readonly number[]): Buffer =>
    Buffer.concat(
      streams.flatMap((stream) => [
        frame('settings', 0x1, 0),
        frame('headers', END_HEADERS | PADDED, stream, 21),
        frame('ping', 0x1, 0, 8),
        frame('data', 0, stream, 31),
        frame('data', PADDED, stream, 2),
        frame('headers', END_STREAM, stream, 6),
        frame('continuation', 0, stream, 1),
        frame('continuation', END_HEADERS, stream, 2),
      ]),
    );
  const STREAMS = streamIds(17);
  const asked = Buffer.concat([clientStart(), talk(STREAMS)]);
  const answered = Buffer.concat([serverStart(), answer(STREAMS)]).toString('hex');

  it.each([
    ['reads of one byte, sends of one byte', 1, 'r', 'e'],
    ['reads of seven bytes', 7, 'r', 'v'],
    ['reads of ten bytes into pieces', 10, 'i', 'v'],
    ['reads of 23 bytes into pieces', 23, 'i', 'e'],
    ['one read, one send', asked.length, 'r', 'd'],
    ['one read into pieces, one send from pieces', asked.length, 'i', 'v'],
  ])('%s: 17 streams', async (_, size, read, send) => {
    const reads = `${read}${size} `.repeat(Math.ceil(asked.length / size));
    const server = await use(fixture.scripted.start(`q${asked.length} ${reads}${send}${answered} w600000`));
    const whole = observePatiently(server);
    const one = await client(server);
    one.send(asked);
    await one.receive(answered.length / 2);

    await expectCounts(whole, { ...NOTHING_AMISS, requests: 17, firstResponses: 17, streamConnections: 1 });
  });

  it.each(Array.from({ length: 6 }, (_, index) => index + 3))(
    'frames of a size that moves every offset through reads of %d bytes, in hand-made segments',
    async (size) => {
      const streams = streamIds(29);
      const bytes = Buffer.concat([clientStart(), ...streams.map(request)]);
      const reads = `r${size} `.repeat(Math.ceil(bytes.length / size));
      const replies = Buffer.concat([serverStart(), ...streams.map(response)]).toString('hex');
      const server = await use(fixture.scripted.start(`q${bytes.length} ${reads}d${replies} w600000`));
      const whole = observePatiently(server);
      const one = await client(server);
      for (let at = 0; at < bytes.length; at += size + 2) one.send(bytes.subarray(at, at + size + 2));
      await one.receive(replies.length / 2);

      await expectCounts(whole, { ...NOTHING_AMISS, requests: 29 });
    },
  );

  it('a payload by sendfile is stepped over, a frame header that nobody can see is not guessed', async () => {
    const head = Buffer.concat([serverStart(), frame('headers', END_HEADERS, 1, 4)]);
    const dataHeader = frame('data', END_STREAM, 1, 5000).subarray(0, 9).toString('hex');
    const asks = Buffer.concat([clientStart(), request(1)]);
    const server = await use(
      fixture.scripted.start(`R${asks.length} d${head.toString('hex')} d${dataHeader} f5000 r1 f10 r1 s1 w600000`),
    );
    const whole = observePatiently(server);
    const one = await client(server);
    one.send(asks);
    await one.receive(head.length + 9 + 5000);
    await expectCounts(whole, { ...NOTHING_AMISS, requests: 1, unit: 'stream' });

    // From here on by turn: the send that was not understood answers nothing.
    one.send('\0');
    await one.receive(10);
    await whole.settle({ lostConnections: 1 });
    one.send('\0');
    await one.receive(1);
    await expectCounts(whole, { requests: 1, lostConnections: 1, others: 1, turnConnections: 1, dropped: 0 });
  });
});

describe('streams that are not answered', () => {
  /** A server that reads what comes and answers as little as `replies` says, for a client that has `streams` open. */
  async function startSilent(streams: number, replies: Buffer, then = 'w600000') {
    const asks = Buffer.concat([clientStart(), ...streamIds(streams).map(request)]);
    const server = await use(
      fixture.scripted.start(`R${asks.length} d${Buffer.concat([serverStart(), replies]).toString('hex')} ${then}`),
    );
    const sensor = open([server.port]);
    const one = await client(server);
    one.send(asks);
    await one.receive(serverStart().length + replies.length);
    return { sensor, whole: new WholeRun(sensor), one };
  }

  it('are in flight, grow old, and a walk finds as many', async () => {
    const { sensor, whole } = await startSilent(11, response(3));
    await expectCounts(whole, { arrivals: 11, requests: 1, inFlight: 10, abandoned: 0 });
    expect((sensor as TurnSensor).walk('stream')[0]!.inFlight).toBe(10);
    const seen = (): unknown => (whole.read(), whole.snapshot.health);
    await expect.poll(seen, PATIENCE).toBe('stall');
    // The walk that finds it comes the more seldom the longer it takes.
    const oldestNs = () => (whole.read(), whole.snapshot.oldestInFlightNs);
    await expect.poll(oldestNs, PATIENCE).toBeGreaterThanOrEqual(1000 * NS_PER_MS);
  });

  it('are abandoned when the server resets them', async () => {
    const resets = Buffer.concat([frame('rstStream', 0, 5, 4), frame('rstStream', 0, 7, 4), response(1)]);
    const { whole } = await startSilent(7, resets);
    await expectCounts(whole, { arrivals: 7, requests: 1, abandoned: 2, inFlight: 4 });
  });

  it('are abandoned when the client cancels them, and a reply that comes all the same is none', async () => {
    const { whole, one } = await startSilent(7, response(1), `R26 d${response(5).toString('hex')} w600000`);
    one.send(Buffer.concat([frame('rstStream', 0, 5, 4), frame('rstStream', 0, 9, 4)]));
    await one.receive(response(5).length);
    await expectCounts(whole, { arrivals: 7, requests: 1, abandoned: 2, inFlight: 4 });
  });

  it.each([
    ['the client closes', 'r1 c', (one: RawClient) => one.close()],
    ['the client resets', 'r1 c', (one: RawClient) => one.reset()],
    [
      'the server closes after GOAWAY',
      `d${frame('goaway', 0, 0, 8).toString('hex')} c`,
      (one: RawClient) => one.ended(),
    ],
    ['the server resets', 'w20 x', (one: RawClient) => one.ended()],
    ['the server shuts its side down', 'h w600000', (one: RawClient) => one.ended()],
  ])('are abandoned when %s', async (_, then, end) => {
    const { whole, one } = await startSilent(101, response(7), then);
    await end(one);
    await expectCounts(whole, { arrivals: 101, requests: 1, abandoned: 100, inFlight: 0, lostConnections: 0 });
  });

  it('more than there is room for are dropped, and said so', async () => {
    const { whole, one } = await startSilent(300, Buffer.concat([response(1), response(599)]));
    await expectCounts(whole, { arrivals: 256, dropped: 44, requests: 1, inFlight: 255 });
    await one.reset();
    await expectCounts(whole, { arrivals: 256, requests: 1, abandoned: 255, inFlight: 0 });
  });

  it('are abandoned by a client that cancels at Node', async () => {
    const server = await use(startGrpc({ '/never': () => undefined, '/unary': unary }));
    const whole = observe(server);
    const one = grpcClient(server);
    for (let sent = 0; sent < 5; sent++) {
      const call = one.session.request({ ':path': '/never' });
      await one.call('/unary');
      call.close(8);
      await once(call, 'close');
    }
    await expectCounts(whole, { arrivals: 10, requests: 5, abandoned: 5, inFlight: 0 });
  });

  it('nothing is left of connections that die with streams open', async () => {
    const asks = Buffer.concat([clientStart(), ...streamIds(9).map(request)]);
    const server = await use(fixture.scripted.start(`R${asks.length} d${response(1).toString('hex')} w3 c`));
    const sensor = open([server.port]);
    const whole = new WholeRun(sensor);
    for (let round = 0; round < 30; round++) {
      const each = await Promise.all(Array.from({ length: 7 }, () => RawClient.connect(server.port)));
      for (const one of each) one.send(asks);
      // Three are reset at once, so that some die before the server has read them; two after its answer; two by its close.
      await Promise.all(
        each.map(async (one, index) => {
          if (index < 3) return one.reset();
          if (index < 5) return one.receive(1).then(() => one.reset());
          await one.ended();
          await one.close();
        }),
      );
    }
    await whole.settle({ inFlight: 0 });
    const { arrivals, requests, abandoned, streamConnections } = whole.read();
    expect(arrivals).toBe(requests + abandoned);
    expect(streamConnections).toBeGreaterThanOrEqual(30 * 4);
    expect((sensor as TurnSensor).walk('stream')[0]!.inFlight).toBe(0);
  });
});

describe('connections that are counted by turn', () => {
  it('those that were open before the sensor; new ones are not', async () => {
    const server = await use(startGrpc({ '/unary': unary }));
    const old = grpcClient(server);
    await old.call('/unary');
    const whole = observe(server, { protocol: 'http2' });
    for (let sent = 0; sent < 3; sent++) await old.call('/unary');
    await whole.settle({ turnConnections: 1 });
    expect(whole.read()).toMatchObject({ turnConnections: 1, streamConnections: 0 });

    const young = grpcClient(server);
    for (let sent = 0; sent < 101; sent++) await young.call('/unary');
    await expectCounts(whole, { unit: 'stream', requests: 101, streamConnections: 1, turnConnections: 1 });
    expect(whole.read().others).toBeGreaterThanOrEqual(3);
  });

  it('all of a target whose protocol is turns', async () => {
    const server = await use(startGrpc({ '/unary': unary }));
    const whole = observe(server, { protocol: 'turns' });
    const one = grpcClient(server);
    for (let sent = 0; sent < 5; sent++) await one.call('/unary');
    await whole.settle({ inFlight: 0 });
    expect(whole.snapshot).toMatchObject({ unit: 'turn' });
    expect(whole.snapshot.requests).toBeGreaterThanOrEqual(5);
    expect(whole.snapshot.http2).toBeUndefined();
  });

  it('TLS, whatever is inside', async () => {
    const files = mkdtempSync(join(tmpdir(), 'tailgov-tls-'));
    cleanups.push(() => rmSync(files, { recursive: true }));
    const subject = ['-subj', '/CN=localhost', '-days', '2', '-keyout', 'key.pem', '-out', 'cert.pem'];
    await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...subject], { cwd: files });
    const server = createSecureServer({
      key: readFileSync(join(files, 'key.pem')),
      cert: readFileSync(join(files, 'cert.pem')),
    });
    server.on('stream', (stream) => stream.end('hello'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const whole = observe({ port });
    const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    cleanups.push(async () => {
      session.destroy();
      server.close();
      await once(server, 'close');
    });
    for (let sent = 0; sent < 7; sent++) {
      const stream = session.request({ ':path': '/' });
      stream.resume();
      await once(stream, 'close');
    }
    await whole.settle({ inFlight: 0 });
    expect(whole.snapshot).toMatchObject({ unit: 'turn', dropped: 0 });
    expect(whole.snapshot.requests).toBeGreaterThanOrEqual(7);
    expect(whole.snapshot.http2).toBeUndefined();
  });

  it('HTTP/1.1 beside HTTP/2: the two are never added up', async () => {
    const old = await use(fixture.scripted.start('r100 s50'));
    const files = mkdtempSync(join(tmpdir(), 'tailgov-files-'));
    cleanups.push(() => rmSync(files, { recursive: true }));
    writeFileSync(join(files, 'file'), 'hello');
    const young = await use(startNghttpd(files));
    const whole = new WholeRun(open([old.port, young.port]));
    const one = await client(old);
    for (let sent = 0; sent < 23; sent++) await one.exchange('GET / HTTP/1.1\r\nHost: a\r\n\r\n', 50);
    await expectCounts(whole, { unit: 'turn', requests: 23, turnConnections: 0 });

    await run('h2load', ['-n', '101', '-c', '1', '-m', '3', `http://127.0.0.1:${young.port}/file`]);
    await expectCounts(whole, { unit: 'stream', requests: 101, others: 23, streamConnections: 1, dropped: 0 });
  });

  it('what was upgraded from HTTP/1.1', async () => {
    const upgrade = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n';
    const start = clientStart();
    const switching = Buffer.from('HTTP/1.1 101 Switching Protocols\r\n\r\n').toString('hex');
    const server = await use(
      fixture.scripted.start(
        `R${upgrade.length} d${switching} R${start.length} d${response(1).toString('hex')} w600000`,
      ),
    );
    const whole = observe(server);
    const one = await client(server);
    await one.exchange(upgrade, switching.length / 2);
    await one.exchange(start.toString('latin1'), response(1).length);
    await expectCounts(whole, { ...NOTHING_AMISS, unit: 'turn', requests: 2, streamConnections: 0 });
  });

  it.each(['P', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r', 'PRI * HTTP/1.1\r\n\r\n'])(
    'those that begin like the preface and go on otherwise: %j',
    async (beginning) => {
      const server = await use(fixture.scripted.start(`R${beginning.length} w20 R4 s3`));
      const whole = observe(server);
      const one = await client(server);
      one.send(beginning);
      await sleep(10);
      one.send('OST ');
      await one.receive(3);
      await expectCounts(whole, { ...NOTHING_AMISS, unit: 'turn', requests: 1, streamConnections: 0 });
    },
  );

  it('those whose frames make no sense', async () => {
    const nonsense = Buffer.concat([PREFACE, frame('data', 0, 0, 3)]);
    const server = await use(fixture.scripted.start(`R${nonsense.length} s5 r1 s1`));
    const whole = observe(server);
    const one = await client(server);
    await one.exchange(nonsense.toString('latin1'), 5);
    await one.exchange('a', 1);
    await expectCounts(whole, { lostConnections: 1, requests: 2, unit: 'turn', inFlight: 0, dropped: 0 });
  });
});
