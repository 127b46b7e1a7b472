/**
 * Is the sensor right? `npx tsx bench/sensor-accuracy.ts [ROUNDS] [SECONDS] [SHARE]`, as root.
 *
 * An open-loop client sends GETs to a Redis at SHARE (default 0.5) of what the two of them can do together, as a Poisson
 * process over idle connections, and takes the time of each request from its write to its reply. The sensor sees the same
 * requests. What the client measures on top of the sensor is its own: the way through loopback, its wake-up, its queue. The
 * client is a process of its own, so that it disturbs itself as little as may be; it says how late it was.
 */
import { fork } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Histogram } from '../src/core/histogram.ts';
import { NS_PER_MS, NS_PER_US } from '../src/core/units.ts';
import { Random } from '../src/plant/random.ts';
import { openSensor } from '../src/sensor/open-sensor.ts';
import { buildBpf } from '../test/kernel/support/build-bpf.ts';
import { startRedis } from '../test/kernel/support/servers.ts';

const CONNECTIONS = 64;
const GET = 'GET key\r\n';

interface Measured {
  readonly count: number;
  /** From the write and from the scheduled instant, in ns. */
  readonly p50: number;
  readonly p99: number;
  readonly p99FromDue: number;
  readonly lateP99: number;
}

/** As fast as it can with one request a connection under way: the client's and the server's capacity together. */
async function capacity(port: number, seconds: number): Promise<number> {
  const sockets = await connections(port, CONNECTIONS);
  let done = 0;
  let running = true;
  for (const socket of sockets) {
    socket.on('data', () => {
      done++;
      if (running) socket.write(GET);
    });
    socket.write(GET);
  }
  await sleep(seconds * 1000);
  running = false;
  const rate = done / seconds;
  for (const socket of sockets) socket.destroy();
  return rate;
}

async function openLoop(port: number, rate: number, seconds: number, seed: number): Promise<Measured> {
  const sockets = await connections(port, CONNECTIONS);
  const random = new Random(seed, 'arrivals');
  const fromWrite = new Histogram();
  const fromDue = new Histogram();
  const late = new Histogram();
  const free: number[] = sockets.map((_, index) => index);
  const wrote: bigint[] = [];
  const due: bigint[] = [];
  const now = () => process.hrtime.bigint();
  for (const [index, socket] of sockets.entries()) {
    socket.on('data', () => {
      const atNs = now();
      fromWrite.record(Number(atNs - wrote[index]!));
      fromDue.record(Number(atNs - due[index]!));
      free.push(index);
    });
  }
  const endNs = now() + BigInt(seconds * 1e9);
  let nextNs = now() + 1_000_000n;
  const waiting: bigint[] = [];
  while (nextNs < endNs) {
    // A timer is late by a millisecond: the event loop is turned instead, and replies are read in between.
    await new Promise<void>((resolve) => setImmediate(resolve));
    const atNs = now();
    for (; nextNs <= atNs; nextNs += BigInt(Math.round((1e9 / rate) * random.nextExponential()))) waiting.push(nextNs);
    while (waiting.length > 0 && free.length > 0) {
      const index = free.shift()!;
      due[index] = waiting.shift()!;
      wrote[index] = now();
      late.record(Number(wrote[index] - due[index]));
      sockets[index]!.write(GET);
    }
  }
  await sleep(50);
  for (const socket of sockets) socket.destroy();
  return {
    count: fromWrite.count,
    p50: fromWrite.quantileNs(0.5),
    p99: fromWrite.quantileNs(0.99),
    p99FromDue: fromDue.quantileNs(0.99),
    lateP99: late.quantileNs(0.99),
  };
}

function connections(port: number, count: number): Promise<Socket[]> {
  const open = () =>
    new Promise<Socket>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(socket)).setNoDelay(true);
      socket.on('error', reject);
    });
  return Promise.all(Array.from({ length: count }, open));
}

type Job =
  | { readonly kind: 'capacity'; readonly port: number }
  | {
      readonly kind: 'load';
      readonly port: number;
      readonly rate: number;
      readonly seconds: number;
      readonly seed: number;
    };

function inOwnProcess<T>(job: Job): Promise<T> {
  const child = fork(fileURLToPath(import.meta.url), ['client'], { execArgv: process.execArgv });
  return new Promise((resolve, reject) => {
    child.on('message', (result) => {
      resolve(result as T);
      child.kill();
    });
    child.on('error', reject);
    child.send(job);
  });
}

async function main(rounds: number, seconds: number, share: number): Promise<void> {
  const bpf = buildBpf();
  const redis = await startRedis();
  try {
    const most = await inOwnProcess<number>({ kind: 'capacity', port: redis.port });
    const rate = most * share;
    console.log(`client and Redis together: ${most.toFixed(0)} requests/s; load ${rate.toFixed(0)} requests/s`);
    const us = (ns: number) => (ns / NS_PER_US).toFixed(1).padStart(8);
    console.log(
      'round  requests          p50 client   sensor   p99 client   sensor    error µs    error %   client late p99 ms',
    );
    const errors: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const sensor = openSensor({ targets: [{ name: 'redis', ports: [redis.port] }], objectDirectory: bpf.directory });
      sensor.read();
      const client = await inOwnProcess<Measured>({ kind: 'load', port: redis.port, rate, seconds, seed: round + 1 });
      const seen = sensor.read()[0]!;
      sensor.close();
      const p99 = seen.latency.quantileNs(0.99);
      const error = p99 - client.p99;
      errors.push(error);
      console.log(
        `${String(round + 1).padStart(5)}  ${client.count}/${seen.requests}  ${us(client.p50)} ${us(seen.latency.quantileNs(0.5))}     ${us(client.p99)} ${us(p99)}    ${us(error)}   ${((100 * error) / client.p99).toFixed(1).padStart(8)}   ${(client.lateP99 / NS_PER_MS).toFixed(3)}`,
      );
    }
    const sorted = errors.sort((a, b) => a - b);
    console.log(
      `p99 error, median of ${rounds}: ${us(sorted[Math.floor(rounds / 2)]!)} µs (${us(sorted[0]!)} to ${us(sorted.at(-1)!)})`,
    );
  } finally {
    await redis.stop();
    bpf.remove();
  }
}

if (process.argv[2] === 'client') {
  process.on('message', (job: Job) => {
    void (job.kind === 'capacity' ? capacity(job.port, 2) : openLoop(job.port, job.rate, job.seconds, job.seed)).then(
      (result) => process.send!(result),
    );
  });
} else {
  await main(Number(process.argv[2] ?? 5), Number(process.argv[3] ?? 10), Number(process.argv[4] ?? 0.5));
}
