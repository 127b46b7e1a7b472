/**
 * From the kernel's alarm to the frequency's write: `npx tsx bench/fast-path.ts [--events 100] [--scheduling fifo,nice,normal]
 * [--load free,saturated]`, as root, after a build.
 *
 * A daemon governs a server on a mock machine. Two things happen to the server, time and again:
 *   arrival   after half a second without a request one comes (alarm `arrival-after-idle`)
 *   late      amid quick requests four take longer than the objective (alarm `late`)
 * Each raises the level at once. What is measured is the time from the moment at which the probe in the kernel raised the alarm
 * to the moment at which the loop had written the new frequency and read it back, for the alarms that led to a write. `saturated`
 * has four threads a CPU that never rest.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { availableParallelism, setPriority, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type ControlClient, controlClient } from '../src/telemetry/control-client.ts';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '100' },
    scheduling: { type: 'string', default: 'fifo,nice,normal' },
    load: { type: 'string', default: 'free,saturated' },
    port: { type: 'string', default: '17391' },
  },
});
const events = Number(values.events);
const port = Number(values.port);
const CLI = resolve('dist/cli.js');
const SLO_MS = 20;
const LATE_MS = 30;
const SPINNERS_A_CPU = 4;
const CONNECTIONS = 10;
const QUICK_ROUNDS = 200;
/** Of each kind, before those that count: V8 compiles meanwhile, and the controller learns what idle is. */
const WARM_UP_EVENTS = 20;

/** Answers each byte with one: `q` at once, `l` after LATE_MS. */
const SERVER = `require('node:net').createServer((socket) => socket.setNoDelay(true).on('data', (data) => {
  for (const byte of data) byte === 108 ? setTimeout(() => socket.write('.'), ${LATE_MS}) : socket.write('.');
}).on('error', () => {})).listen(${port}, '127.0.0.1')`;

/** Upper bounds of the rows, in ms. */
const BOUNDS_MS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, Infinity];
const WIDTH = 50;

const POLICY = `controller: pid
interval: 100ms
parameters: { idleAfter: 200ms, slewDown: 10 }
level: { min: 0.2, fall: 10/s }
`;

/** Server and client keep going beside what saturates the CPUs: it is the daemon that is measured. */
const FAVOURED = -15;

const children: ChildProcess[] = [];
const folder = mkdtempSync(join(tmpdir(), 'tailgov-fast-path-'));
// Whoever ends this half-way is not to be left with CPUs that are busy for good.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    cleanUp();
    process.exit(1);
  });
}
try {
  execFileSync(process.execPath, [CLI, 'mock', 'create', 'intel-pstate-i7-1165g7-8c', join(folder, 'sys')]);
  writeFileSync(join(folder, 'policy.yaml'), POLICY);
  const slo = `{ quantile: p99, latency: ${SLO_MS}ms, window: 1min }`;
  const service = `{ name: bench, target: { port: ${port} }, slo: ${slo}, policy: policy.yaml }`;
  writeFileSync(join(folder, 'tailgov.yaml'), `services: [${service}]\ntelemetry: { metrics: off }\n`);
  setPriority(start(process.execPath, ['-e', SERVER]).pid!, FAVOURED);
  setPriority(FAVOURED);
  for (const load of values.load.split(',')) {
    for (const scheduling of values.scheduling.split(',')) await measure(scheduling, load === 'saturated');
  }
} finally {
  cleanUp();
}

function cleanUp(): void {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

async function measure(scheduling: string, saturated: boolean): Promise<void> {
  const runtime = join(folder, `run-${scheduling}-${saturated}`);
  const daemon = start(process.execPath, [
    ...[CLI, 'run', '--config', join(folder, 'tailgov.yaml'), '--sysfs', join(folder, 'sys')],
    ...['--runtime', runtime, '--scheduling', scheduling],
  ]);
  const client = controlClient(join(runtime, 'control.sock'));
  await governing(client);
  const busy = saturated
    ? Array.from({ length: SPINNERS_A_CPU * availableParallelism() }, () => start('sh', ['-c', 'while :; do :; done']))
    : [];
  const sockets = Array.from({ length: CONNECTIONS }, () => {
    return connect({ port, host: '127.0.0.1', noDelay: true }).on('data', () => undefined);
  });
  for (const [name, happen] of Object.entries({ arrival, late })) {
    const kind = name === 'arrival' ? 'arrival-after-idle' : 'late';
    await sleep(1000);
    const times: number[] = [];
    let seen = (await client.status()).last!.tick;
    for (let event = -WARM_UP_EVENTS; event < events; event++) {
      await happen(sockets);
      const ticks = await client.ticksAfter(seen);
      seen = ticks.at(-1)?.tick ?? seen;
      for (const { alarms = [], applied } of ticks) {
        const alarm = alarms.find((candidate) => candidate.kind === kind);
        if (event >= 0 && alarm !== undefined && applied.writes > 0) times.push(alarm.answeredMs);
      }
    }
    show(`${name}, ${saturated ? 'saturated' : 'a CPU free'}, ${scheduling}`, times);
  }
  for (const socket of sockets) socket.destroy();
  for (const child of busy) child.kill('SIGKILL');
  daemon.kill('SIGTERM');
  await new Promise((done) => daemon.once('exit', done));
}

async function arrival([socket]: readonly Socket[]): Promise<void> {
  await sleep(500);
  socket!.write('q');
  await sleep(50);
}

/** Quick requests, so many that the level may go down again; then late ones, each on a connection of its own. */
async function late(sockets: readonly Socket[]): Promise<void> {
  for (let round = 0; round < QUICK_ROUNDS; round++) {
    for (const socket of sockets) socket.write('q');
    await sleep(5);
  }
  for (const socket of sockets.slice(0, 4)) socket.write('l');
  await sleep(2 * LATE_MS);
}

function start(command: string, args: readonly string[]): ChildProcess {
  const child = spawn(command, args, { stdio: 'ignore' });
  // A child is as favoured as this process.
  setPriority(child.pid!, 0);
  children.push(child);
  return child;
}

async function governing(client: ControlClient): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const status = await client.status().catch(() => null);
    if (status !== null && status.last !== null) return;
    await sleep(50);
  }
  throw new Error('the daemon does not govern after 10 s: run its command by hand to see why');
}

function show(title: string, times: readonly number[]): void {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (quantile: number) => sorted[Math.min(sorted.length - 1, Math.ceil(quantile * sorted.length) - 1)] ?? NaN;
  const figures = `p50 ${at(0.5).toFixed(2)} ms, p99 ${at(0.99).toFixed(2)} ms, max ${at(1).toFixed(2)} ms`;
  process.stdout.write(`\n${title}: ${times.length} writes of ${events} events, ${figures}\n`);
  let from = 0;
  for (const bound of BOUNDS_MS) {
    const count = sorted.filter((ms) => ms > from && ms <= bound).length;
    if (count > 0) {
      const bar = '█'.repeat(Math.max(1, Math.round((WIDTH * count) / sorted.length)));
      const upTo = bound === Infinity ? 'more  ' : `≤ ${String(bound).padEnd(4)}`;
      process.stdout.write(`  ${upTo} ms ${String(count).padStart(5)} ${bar}\n`);
    }
    from = bound;
  }
}
