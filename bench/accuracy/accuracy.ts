/**
 * Is the sensor right? Each server is put under open-loop Poisson loads from a tenth to 95 % of what it and the client
 * can do together; the client's times are compared with those of every method of the sensor, side by side in the same run.
 *
 *   npx tsx bench/accuracy/accuracy.ts [--only redis,memcached] [--seconds 4] [--out dist/accuracy-sweeps.json]
 *
 * As root, on a machine that is quiet: the server has one CPU, the client another. `npm run bench:accuracy` runs it whole. What
 * is found is added to the file, in the place of what was found of the same servers before, and docs/accuracy.md is written
 * anew from all of it. A server that fails is named, and the others go on.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { SensorError } from '../../src/core/errors.ts';
import { type OpenedSensor, openSensor } from '../../src/sensor/open-sensor.ts';
import { METHOD_CHOICES } from '../../src/sensor/probe-methods.ts';
import { buildBpf } from '../../test/kernel/support/build-bpf.ts';
import { OpenLoopClient } from './open-loop.ts';
import { type AccuracyPoint, type AccuracyRun, clientTimes, sensorTimes, type Sweep } from './point.ts';
import { writePage } from './report.ts';
import { pinTo, type RunningSubject, type Subject, SUBJECTS } from './subjects.ts';

const SERVER_CPU = 0;
const CLIENT_CPU = 1;
const SHARES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];
const CAPACITY_SECONDS = 2;
/** A p99 of few requests is noise: slow servers are given longer, up to a limit. */
const ENOUGH_REQUESTS = 500;
const LONGEST_SECONDS = 15;
/** For the last replies to be counted. */
const SETTLE_MS = 100;

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: SUBJECTS.map(({ name }) => name).join(',') },
    seconds: { type: 'string', default: '4' },
    out: { type: 'string', default: fileURLToPath(new URL('../../dist/accuracy-sweeps.json', import.meta.url)) },
  },
});
const names = values.only.split(',');
const unknown = names.filter((name) => !SUBJECTS.some((subject) => subject.name === name));
if (unknown.length > 0) {
  const known = SUBJECTS.map(({ name }) => name).join(', ');
  throw new Error(`no such server: ${unknown.join(', ')}; expected of ${known}`);
}
const seconds = Number(values.seconds);
if (!(seconds > 0)) throw new Error(`--seconds ${values.seconds}, expected a positive number`);

/** A way to measure, beside the client's. */
interface Way {
  readonly name: string;
  open(target: RunningSubject['target']): OpenedSensor;
}

// And with this process what it starts, client and server: nothing else of the machine may delay either.
setPriority(constants.priority.PRIORITY_HIGHEST);
const bpf = buildBpf();
const client = new OpenLoopClient();
const WAYS: readonly Way[] = METHOD_CHOICES.filter((method) => method !== 'auto').map((method) => ({
  name: method,
  open: (target) => openSensor({ targets: [{ name: 'subject', ...target }], method, objectDirectory: bpf.directory }),
}));
/** The other pairing of eBeeMetrics, for servers that have a connection a request. */
const ACCEPT_TO_CLOSE: Way = {
  name: 'syscall, accept to close',
  open: (target) =>
    openSensor({
      targets: [{ name: 'subject', ...target, protocol: 'connection' }],
      method: 'syscall',
      objectDirectory: bpf.directory,
    }),
};

const failed: string[] = [];
try {
  for (const subject of SUBJECTS.filter(({ name }) => names.includes(name))) {
    const startMs = performance.now();
    try {
      keep(await sweep(subject));
    } catch (error) {
      failed.push(subject.name);
      console.error(`\n${subject.name} FAILED, and the others go on:`, error);
    }
    console.log(`${subject.name} took ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
  }
} finally {
  client.remove();
  bpf.remove();
}
await writePage(values.out);
if (failed.length > 0) {
  console.error(`\nfailed: ${failed.join(', ')}; again: npm run bench:accuracy -- --only ${failed.join(',')}`);
  process.exitCode = 1;
}

/** In the order of the subjects, whenever each was measured. */
function keep(found: Sweep): void {
  const before = existsSync(values.out)
    ? (JSON.parse(readFileSync(values.out, 'utf8')) as AccuracyRun)
    : { sweeps: [] };
  const sweeps = SUBJECTS.flatMap(({ name }) =>
    name === found.subject ? [found] : before.sweeps.filter(({ subject }) => subject === name),
  );
  writeFileSync(values.out, `${JSON.stringify({ sweeps } satisfies AccuracyRun)}\n`);
}

async function sweep(subject: Subject): Promise<Sweep> {
  const running = await subject.start(client);
  try {
    pinTo(SERVER_CPU, running.pids);
    const ways = [...WAYS, ...(subject.connectionARequest === true ? [ACCEPT_TO_CLOSE] : [])];
    const usable = ways.filter((way) => canOpen(way, running, subject.name));
    // Once to warm up, once to know.
    await running.load({ rate: 0, seconds: CAPACITY_SECONDS / 2, seed: 1 }, CLIENT_CPU);
    const most = await running.load({ rate: 0, seconds: CAPACITY_SECONDS, seed: 1 }, CLIENT_CPU);
    const capacityRps = most.requests / most.seconds;
    console.log(
      `\n${subject.name} (${subject.what}): ${capacityRps.toFixed(0)} requests/s at most, ${seconds} s a point`,
    );
    const points: AccuracyPoint[] = [];
    for (const share of SHARES) {
      const point = await measure(running, usable, share, capacityRps);
      console.log(lineOf(point));
      points.push(point);
    }
    const at = new Date().toISOString();
    return { subject: subject.name, what: subject.what, at, seconds, capacityRps, points };
  } finally {
    await running.stop();
  }
}

async function measure(
  running: RunningSubject,
  ways: readonly Way[],
  share: number,
  capacityRps: number,
): Promise<AccuracyPoint> {
  const rate = share * capacityRps;
  const sensors = ways.map((way) => ({ name: way.name, sensor: way.open(running.target) }));
  try {
    for (const { sensor } of sensors) sensor.read();
    const runSeconds = Math.min(LONGEST_SECONDS, Math.max(seconds, ENOUGH_REQUESTS / rate));
    const view = await running.load({ rate, seconds: runSeconds, seed: 1 + Math.round(share * 100) }, CLIENT_CPU);
    await sleep(SETTLE_MS);
    const seen = sensors.map(({ name, sensor }) => sensorTimes(name, sensor.read()[0]!));
    return { share, rate, client: clientTimes(view), sensors: seen };
  } finally {
    for (const { sensor } of sensors) sensor.close();
  }
}

/** Not every method is there on every kernel, and not every one for every kind of target. */
function canOpen(way: Way, { target }: RunningSubject, subject: string): boolean {
  // It leaves datagrams to the same probes as the others.
  if (target.protocol === 'udp' && way.name === 'syscall') return false;
  try {
    way.open(target).close();
    return true;
  } catch (error) {
    if (!(error instanceof SensorError)) throw error;
    console.log(`${subject} without ${way.name}: ${error.message}`);
    return false;
  }
}

function lineOf({ share, rate, client: { requests, busyRatio, p50Us, p99Us }, sensors }: AccuracyPoint): string {
  const us = (value: number) => value.toFixed(1).padStart(9);
  const busy = busyRatio === null ? 'n/a' : `${(100 * busyRatio).toFixed(0)} %`;
  return [
    `${(100 * share).toFixed(0).padStart(3)} % ${rate.toFixed(0).padStart(7)} rps, client ${busy} busy, ${requests} requests: p50${us(p50Us)} p99${us(p99Us)} µs`,
    ...sensors.map(
      (sensor) => `${sensor.way} ${sensor.requests} ${sensor.unit}s:${us(sensor.p50Us)}${us(sensor.p99Us)}`,
    ),
  ].join(' | ');
}
