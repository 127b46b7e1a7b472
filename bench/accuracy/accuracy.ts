/**
 * Is the sensor right? Each server is put under open-loop Poisson loads from a tenth to nine tenths of what it and the client
 * can do together; the client's times are compared with those of every method of the sensor, side by side in the same run.
 *
 *   npx tsx bench/accuracy/accuracy.ts [--subjects redis,memcached] [--seconds 5] [--out FILE.json]
 *
 * As root, on a machine that is quiet: the server has one CPU, the client another. `npm run bench:accuracy` runs it whole
 * and writes docs/accuracy.md from what it found.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { SensorError } from '../../src/core/errors.ts';
import type { Snapshot } from '../../src/core/sensor.ts';
import { openSensor } from '../../src/sensor/open-sensor.ts';
import { METHOD_CHOICES } from '../../src/sensor/probe-methods.ts';
import { buildBpf } from '../../test/kernel/support/build-bpf.ts';
import { OpenLoopClient } from './open-loop.ts';
import { type AccuracyPoint, type AccuracyRun, clientTimes, sensorTimes } from './point.ts';
import { pinTo, type RunningSubject, type Subject, SUBJECTS } from './subjects.ts';

const SERVER_CPU = 0;
const CLIENT_CPU = 1;
const SHARES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
const CAPACITY_SECONDS = 2;
/** A p99 of few requests is noise: slow servers are given longer, up to a limit. */
const ENOUGH_REQUESTS = 500;
const LONGEST_SECONDS = 20;
/** For the last replies to be counted. */
const SETTLE_MS = 100;

const { values } = parseArgs({
  options: {
    subjects: { type: 'string', default: SUBJECTS.map(({ name }) => name).join(',') },
    seconds: { type: 'string', default: '5' },
    out: { type: 'string' },
  },
});
const names = values.subjects.split(',');
const unknown = names.filter((name) => !SUBJECTS.some((subject) => subject.name === name));
if (unknown.length > 0) throw new Error(`no such subject: ${unknown.join(', ')}`);
const seconds = Number(values.seconds);

const bpf = buildBpf();
const client = new OpenLoopClient();
try {
  const methods = usableMethods();
  console.log(`methods: ${methods.join(', ')}; ${seconds} s a point`);
  const points: AccuracyPoint[] = [];
  for (const subject of SUBJECTS.filter(({ name }) => names.includes(name)))
    points.push(...(await sweep(subject, methods)));
  const run: AccuracyRun = { at: new Date().toISOString(), seconds, methods, points };
  if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(run, null, 1)}\n`);
} finally {
  client.remove();
  bpf.remove();
}

async function sweep(subject: Subject, methods: readonly Method[]): Promise<AccuracyPoint[]> {
  const running = await subject.start(client);
  try {
    pinTo(SERVER_CPU, running.pids);
    // Once to warm up, once to know.
    await running.load({ rate: 0, seconds: CAPACITY_SECONDS / 2, seed: 1 }, CLIENT_CPU);
    const most = await running.load({ rate: 0, seconds: CAPACITY_SECONDS, seed: 1 }, CLIENT_CPU);
    const capacityRps = most.requests / most.seconds;
    console.log(`\n${subject.name} (${subject.what}): ${capacityRps.toFixed(0)} requests/s at most`);
    const points: AccuracyPoint[] = [];
    for (const share of SHARES) {
      const point = await measure(subject, running, methods, share, capacityRps);
      console.log(lineOf(point));
      points.push(point);
    }
    return points;
  } finally {
    await running.stop();
  }
}

type Method = Exclude<(typeof METHOD_CHOICES)[number], 'auto'>;

async function measure(
  subject: Subject,
  running: RunningSubject,
  methods: readonly Method[],
  share: number,
  capacityRps: number,
): Promise<AccuracyPoint> {
  const rate = share * capacityRps;
  const sensors = methods.map((method) => open(method, running.port));
  try {
    for (const sensor of sensors) sensor.read();
    const runSeconds = Math.min(LONGEST_SECONDS, Math.max(seconds, ENOUGH_REQUESTS / rate));
    const view = await running.load({ rate, seconds: runSeconds, seed: 1 + Math.round(share * 100) }, CLIENT_CPU);
    await sleep(SETTLE_MS);
    const seen = sensors.map((sensor): Snapshot => sensor.read()[0]!);
    return {
      subject: subject.name,
      what: subject.what,
      share,
      rate,
      client: clientTimes(view),
      sensors: seen.map(sensorTimes),
    };
  } finally {
    for (const sensor of sensors) sensor.close();
  }
}

function open(method: Method, port: number) {
  return openSensor({ targets: [{ name: 'subject', ports: [port] }], method, objectDirectory: bpf.directory });
}

function usableMethods(): Method[] {
  return METHOD_CHOICES.filter((method): method is Method => {
    if (method === 'auto') return false;
    try {
      open(method, 1).close();
      return true;
    } catch (error) {
      if (!(error instanceof SensorError)) throw error;
      console.log(`not on this kernel: ${method}: ${error.message}`);
      return false;
    }
  });
}

function lineOf({ share, rate, client: { requests, busyRatio, p50Us, p99Us }, sensors }: AccuracyPoint): string {
  const us = (value: number) => value.toFixed(1).padStart(9);
  const busy = busyRatio === null ? 'n/a' : `${(100 * busyRatio).toFixed(0)} %`;
  return [
    `${(100 * share).toFixed(0).padStart(3)} % ${rate.toFixed(0).padStart(7)} rps, client ${busy} busy, ${requests} requests: p50${us(p50Us)} p99${us(p99Us)} µs`,
    ...sensors.map((sensor) => `${sensor.method} ${sensor.requests}:${us(sensor.p50Us)}${us(sensor.p99Us)}`),
  ].join(' | ');
}
