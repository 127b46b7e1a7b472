/**
 * What the daemon itself costs: CPU time and resident memory at 10 ticks a second, while the governed Redis is idle and
 * while it is saturated, in alternation. `npx tsx bench/daemon.ts [--rounds 3] [--seconds 15] [--warm-up 60]`,
 * as root. Warming up, in seconds, is for V8, which compiles meanwhile what is used often
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { controlClient } from '../src/telemetry/control-client.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '15' },
    'warm-up': { type: 'string', default: '60' },
    port: { type: 'string', default: '17379' },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const CLI = resolve('dist/cli.js');
const folder = mkdtempSync(join(tmpdir(), 'tailgov-bench-'));
const children: ChildProcess[] = [];

interface Cost {
  readonly rps: number;
  readonly cpuPercent: number;
  readonly rssMb: number;
}

try {
  const redis = start('redis-server', ['--port', values.port, '--save', '', '--appendonly', 'no']);
  execFileSync(process.execPath, [CLI, 'mock', 'create', 'intel-pstate-i7-1165g7-8c', join(folder, 'sys')]);
  writeFileSync(
    join(folder, 'tailgov.yaml'),
    `services:\n  - { name: cache, target: { port: ${values.port} }, slo: { quantile: p99, latency: 1ms, window: 1min }, policy: ${resolve('policies/pid.yaml')} }\n`,
  );
  const daemon = start(process.execPath, [
    CLI,
    'run',
    '--config',
    join(folder, 'tailgov.yaml'),
    '--sysfs',
    join(folder, 'sys'),
    '--runtime',
    folder,
  ]);
  await governing();
  await sleep(Number(values['warm-up']) * 1000);

  const idle: Cost[] = [];
  const loaded: Cost[] = [];
  for (let round = 0; round < rounds; round++) {
    idle.push(await measure(daemon.pid!));
    const load = start('redis-benchmark', ['-p', values.port, '-t', 'get', '-n', '100000000', '-c', '50', '-q']);
    await sleep(1000);
    loaded.push(await measure(daemon.pid!));
    load.kill();
    await sleep(500);
  }
  show('idle', idle);
  show('saturated', loaded);
  void redis;
} finally {
  for (const child of children.reverse()) child.kill();
  await sleep(500);
  rmSync(folder, { recursive: true, force: true });
}

function start(command: string, args: readonly string[]): ChildProcess {
  const child = spawn(command, args, { stdio: 'ignore' });
  children.push(child);
  return child;
}

async function governing(): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const status = await controlClient(join(folder, 'control.sock'))
      .status()
      .catch(() => null);
    if (status?.state === 'governing' && status.last !== null) return;
    await sleep(100);
  }
  throw new Error('the daemon does not govern after 10 s: run its command by hand to see why');
}

async function measure(pid: number): Promise<Cost> {
  const client = controlClient(join(folder, 'control.sock'));
  const cpuBefore = cpuNs(pid);
  const began = process.hrtime.bigint();
  await sleep(seconds * 1000);
  const cpu = cpuNs(pid) - cpuBefore;
  const wallNs = Number(process.hrtime.bigint() - began);
  const ticks = await client.ticksAfter(-1);
  const recent = ticks.slice(-seconds * 10);
  const requests = recent.reduce((sum, tick) => sum + tick.services[0]!.snapshot.requests, 0);
  const windowMs = recent.reduce((sum, tick) => sum + tick.services[0]!.snapshot.windowMs, 0);
  return { rps: (1000 * requests) / windowMs, cpuPercent: (100 * cpu) / wallNs, rssMb: rssMb(pid) };
}

/** CPU time of every thread of the process, in ns, as the scheduler counts it. */
function cpuNs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((tid) => Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[0]))
    .reduce((sum, ns) => sum + ns, 0);
}

function rssMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}

function show(name: string, costs: readonly Cost[]): void {
  const spread = (pick: (cost: Cost) => number, digits: number) => {
    const sorted = costs.map(pick).sort((a, b) => a - b);
    const at = (index: number) => sorted[index]!.toFixed(digits);
    return `${at(Math.floor(sorted.length / 2))} (${at(0)} to ${at(sorted.length - 1)})`;
  };
  process.stdout.write(
    `${name.padEnd(10)} requests/s ${spread((cost) => cost.rps, 0)}   CPU % of one core ${spread((cost) => cost.cpuPercent, 2)}   RSS MB ${spread((cost) => cost.rssMb, 1)}\n`,
  );
}
