/**
 * How far off is the sensor's latency of each stream? `npx tsx bench/http2-error.ts [SECONDS]`, as root.
 *
 * A client of ours makes gRPC calls to a Node server over one connection, one at a time and 100 at a time, as fast as they are
 * answered. Packets are timed on the loopback device by stream-times.c: from the packet with the request's HEADERS, as it
 * comes in, to the packet with the end of the response, as it goes out. The sensor's latency of the same stream is compared
 * with that. `npm run bench:streams` runs it and writes the figures into docs/accuracy.md.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import { openSensor } from '../src/sensor/open-sensor.ts';
import { buildBpf } from '../test/kernel/support/build-bpf.ts';
import { OpenLoopClient } from './accuracy/open-loop.ts';
import { pinTo, SUBJECTS } from './accuracy/subjects.ts';

const PAGE = fileURLToPath(new URL('../docs/accuracy.md', import.meta.url));
const [BEGIN, END] = ['<!-- streams -->', '<!-- /streams -->'];
const GOAL_US = 50;
const IN_FLIGHT = [1, 100];
const SECONDS = Number(process.argv[2] ?? 20);
/** For the last packets and records, and for a reply to be over. */
const SETTLE_MS = 500;
const DRAIN_EVERY_MS = 50;

interface StreamTime {
  readonly beganNs: bigint;
  readonly endedNs: bigint;
}

// And with this process what it starts, client and server: nothing else of the machine may delay either.
setPriority(constants.priority.PRIORITY_HIGHEST);
const bpf = buildBpf();
const scratch = mkdtempSync(join(tmpdir(), 'tailgov-streams-'));
const client = new OpenLoopClient();
try {
  const capture = join(scratch, 'stream-times');
  const source = fileURLToPath(new URL('load/stream-times.c', import.meta.url));
  execFileSync('clang', ['-O2', '-Wall', '-Werror', '-D_GNU_SOURCE', source, '-o', capture]);
  const rows = [];
  for (const inFlight of IN_FLIGHT) {
    const row = await measure(inFlight, capture);
    console.log(row.join('  '));
    rows.push(row);
  }
  await writeTable(rows);
} finally {
  client.remove();
  bpf.remove();
  rmSync(scratch, { recursive: true });
}

async function measure(inFlight: number, capture: string): Promise<readonly string[]> {
  const running = await SUBJECTS.find(({ name }) => name === 'grpc')!.start(client, { connections: inFlight });
  try {
    pinTo(0, running.pids);
    const [port] = running.target.ports!;
    // A connection before, so that the server is warm; it is not watched.
    await running.load({ rate: 0, seconds: 1, seed: 1 }, 1);
    const file = join(scratch, 'times');
    const watching = spawn(capture, [String(port), file], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface(watching.stdout)[Symbol.asyncIterator]();
    await lines.next();
    const targets = [{ name: 'grpc', ports: [port!], protocol: 'http2' as const }];
    const sensor = openSensor({ targets, objectDirectory: bpf.directory, record: true });
    const seen: StreamTime[] = [];
    const turns = sensor.turns!;
    const take = (_target: number, arrivalNs: number, socketWaitNs: number, handlingTimeNs: number) => {
      const beganNs = turns.startNs + BigInt(Math.round(arrivalNs));
      seen.push({ beganNs, endedNs: beganNs + BigInt(Math.round(socketWaitNs + handlingTimeNs)) });
    };
    const draining = setInterval(() => turns.drain(take), DRAIN_EVERY_MS);
    const { requests } = await running.load({ rate: 0, seconds: SECONDS, seed: 2 }, 1);
    await sleep(SETTLE_MS);
    clearInterval(draining);
    turns.finish(take);
    const counted = sensor.read()[0]!;
    sensor.close();
    watching.kill('SIGTERM');
    const { missed } = JSON.parse((await lines.next()).value as string) as { missed: number };
    await once(watching, 'exit');
    const passed = readTimes(file);
    if (missed > 0 || passed.length !== requests || seen.length !== requests) {
      const what = `${requests} requests, ${passed.length} in packets, ${seen.length} by the sensor, ${missed} packets missed`;
      throw new Error(`streams cannot be compared one by one: ${what}`);
    }
    return rowOf(inFlight, counted.requests, requests, errorsUs(passed, seen));
  } finally {
    await running.stop();
  }
}

/** Records of three u64: stream, begin and end. */
function readTimes(file: string): StreamTime[] {
  const words = new BigUint64Array(new Uint8Array(readFileSync(file)).buffer);
  return Array.from({ length: words.length / 3 }, (_, index) => ({
    beganNs: words[3 * index + 1]!,
    endedNs: words[3 * index + 2]!,
  }));
}

/** Both in the order in which they began, and of those that came in one packet in that in which they ended. */
function errorsUs(passed: StreamTime[], seen: StreamTime[]): readonly number[] {
  const order = (a: StreamTime, b: StreamTime) => Number(a.beganNs - b.beganNs) || Number(a.endedNs - b.endedNs);
  passed.sort(order);
  seen.sort(order);
  const latencyNs = ({ beganNs, endedNs }: StreamTime) => Number(endedNs - beganNs);
  return passed.map((packet, index) => (latencyNs(seen[index]!) - latencyNs(packet)) / 1000).sort((a, b) => a - b);
}

function rowOf(inFlight: number, counted: number, requests: number, errors: readonly number[]): readonly string[] {
  const at = (share: number) => errors[Math.max(0, Math.ceil(share * errors.length) - 1)]!;
  const us = (value: number) => `${value.toFixed(1)} µs`;
  const reached = counted === requests && [0.01, 0.99].every((share) => Math.abs(at(share)) <= GOAL_US);
  return [
    String(inFlight),
    `${counted} of ${requests}`,
    ...[0.01, 0.5, 0.99].map((share) => us(at(share))),
    reached ? 'reached' : 'missed',
  ];
}

async function writeTable(rows: readonly (readonly string[])[]): Promise<void> {
  const page = readFileSync(PAGE, 'utf8');
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${PAGE}: expected ${BEGIN} and ${END}`);
  const heads = ['streams in flight', 'counted', 'error at p1', 'at p50', 'at p99', `every stream, ≤ ${GOAL_US} µs`];
  const table = [heads, heads.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
  const when = `Measured ${new Date().toISOString().slice(0, 10)}:`;
  const text = `${page.slice(0, from)}${BEGIN}\n\n${when}\n\n${table}\n\n${page.slice(to)}`;
  writeFileSync(PAGE, await format(text, { parser: 'markdown', printWidth: 120 }));
}
