/**
 * What the daemon itself costs: CPU time and memory at 10 ticks a second, while the governed Redis has nothing to do, while 50,000
 * requests a second come at random instants (bench/load), and while redis-benchmark saturates it.
 * `npx tsx bench/daemon.ts [--rounds 3] [--seconds 15] [--warm-up 60]`, as root, after `node deploy/build.mjs`.
 *
 * The daemon is started once. Then it warms up, so many seconds without load and half as many saturated: V8 compiles what is used
 * often when it first sees it used, and what that takes stands in columns of its own. Then the three are measured in turn, each
 * 3 s after the load has come or gone. Nothing is asked of the daemon meanwhile, for answers cost time and memory, too:
 * requests are counted by Redis, CPU time (a share of one core) and wake-ups by the scheduler, memory is as it stands at the end
 * of each stretch. Redis has one CPU, its clients the other one, the daemon either. Medians of all rounds, with the least and the most.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { controlClient } from '../src/telemetry/control-client.ts';
import { OpenLoopClient } from './accuracy/open-loop.ts';
import { pinTo } from './accuracy/subjects.ts';

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
const warmUpS = Number(values['warm-up']);
const SETTLING_MS = 3000;
const STEADY_RPS = 50_000;
const SERVER_CPU = 0;
const CLIENT_CPU = 1;
const CLI = resolve('dist/cli.js');
const folder = mkdtempSync(join(tmpdir(), 'tailgov-bench-'));
const children: ChildProcess[] = [];
const client = new OpenLoopClient();

/** `others`: V8's helpers, libuv's. */
const THREADS = ['loop', 'main', 'others'] as const;
type ThreadName = (typeof THREADS)[number];

/** Since the thread's start. */
interface Thread {
  readonly name: ThreadName;
  readonly cpuNs: number;
  readonly wakeUps: number;
}

type Figures = Readonly<Record<string, number>>;

/** With how many decimals. */
const ROWS: readonly (readonly [row: string, digits: number])[] = [
  ['requests/s', 0],
  ['CPU %', 2],
  ...THREADS.map((name) => [`${name} %`, 2] as const),
  ...THREADS.map((name) => [`${name} wakes/s`, 1] as const),
  ['RSS MB', 1],
  ['Pss MB', 1],
];

try {
  const redis = start('redis-server', ['--port', values.port, '--save', '', '--appendonly', 'no']);
  pinTo(SERVER_CPU, [redis.pid!]);
  execFileSync(process.execPath, [CLI, 'mock', 'create', 'intel-pstate-i7-1165g7-8c', join(folder, 'sys')]);
  writeFileSync(
    join(folder, 'tailgov.yaml'),
    `services:\n  - { name: cache, target: { port: ${values.port} }, slo: { quantile: p99, latency: 1ms, window: 1min }, policy: ${resolve('policies/pid.yaml')} }\n`,
  );
  const files = ['--config', join(folder, 'tailgov.yaml'), '--sysfs', join(folder, 'sys'), '--runtime', folder];
  const { pid } = start(process.execPath, [CLI, 'run', ...files]);
  await governing();

  const warmUp = {
    'warm-up, idle': [await measure(pid!, warmUpS)],
    'warm-up, saturated': [await underLoad(() => measure(pid!, warmUpS / 2))],
  };
  const settled = async () => {
    await sleep(SETTLING_MS);
    return measure(pid!, seconds);
  };
  const idle: Figures[] = [];
  const steady: Figures[] = [];
  const saturated: Figures[] = [];
  for (let round = 0; round < rounds; round++) {
    idle.push(await settled());
    const plan = { rate: STEADY_RPS, seconds: SETTLING_MS / 1000 + seconds + 1, seed: round + 1 };
    const asked = client.run(
      { protocol: 'redis', at: Number(values.port), connections: 50, argument: 'GET key' },
      plan,
      CLIENT_CPU,
    );
    steady.push(await settled());
    await asked;
    saturated.push(await underLoad(settled));
  }
  show({ ...warmUp, idle, [`${STEADY_RPS} a second`]: steady, saturated });
} finally {
  client.remove();
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

async function underLoad<T>(act: () => Promise<T>): Promise<T> {
  const load = start('redis-benchmark', ['-p', values.port, '-t', 'get', '-n', '1000000000', '-c', '50', '-q']);
  pinTo(CLIENT_CPU, [load.pid!]);
  try {
    return await act();
  } finally {
    load.kill();
  }
}

async function measure(pid: number, forS: number): Promise<Figures> {
  const requestsBefore = commandsProcessed();
  const before = threadsOf(pid);
  const beganNs = process.hrtime.bigint();
  await sleep(forS * 1000);
  const after = threadsOf(pid);
  const wallNs = Number(process.hrtime.bigint() - beganNs);
  const requests = commandsProcessed() - requestsBefore;
  const used = (name: ThreadName, figure: 'cpuNs' | 'wakeUps') =>
    sumOf(after, name, figure) - sumOf(before, name, figure);
  const percent = Object.fromEntries(THREADS.map((name) => [`${name} %`, (100 * used(name, 'cpuNs')) / wallNs]));
  const wakes = THREADS.map((name) => [`${name} wakes/s`, (1e9 * used(name, 'wakeUps')) / wallNs]);
  return {
    'requests/s': (1e9 * requests) / wallNs,
    'CPU %': Object.values(percent).reduce((sum, each) => sum + each, 0),
    ...percent,
    ...(Object.fromEntries(wakes) as Figures),
    'RSS MB': memoryMb(pid, 'Rss'),
    'Pss MB': memoryMb(pid, 'Pss'),
  };
}

function threadsOf(pid: number): readonly Thread[] {
  return readdirSync(`/proc/${pid}/task`).map((tid) => {
    const read = (file: string) => readFileSync(`/proc/${pid}/task/${tid}/${file}`, 'utf8');
    return {
      name: tid === String(pid) ? 'main' : isFavoured(read('stat')) ? 'loop' : 'others',
      cpuNs: Number(read('schedstat').split(' ')[0]),
      wakeUps: Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(read('status'))![1]),
    };
  });
}

/** The loop's thread has asked for real-time priority, else for the best nice value: fields 41 and 19 of proc_pid_stat(5). */
function isFavoured(stat: string): boolean {
  const fromThird = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fromThird[41 - 3] !== '0' || fromThird[19 - 3] === '-20';
}

function sumOf(threads: readonly Thread[], name: ThreadName, figure: 'cpuNs' | 'wakeUps'): number {
  return threads.reduce((sum, thread) => sum + (thread.name === name ? thread[figure] : 0), 0);
}

function memoryMb(pid: number, kind: 'Rss' | 'Pss'): number {
  return (
    Number(new RegExp(`^${kind}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1]) / 1024
  );
}

function commandsProcessed(): number {
  const stats = execFileSync('redis-cli', ['-p', values.port, 'info', 'stats'], { encoding: 'utf8' });
  return Number(/total_commands_processed:(\d+)/.exec(stats)![1]);
}

function show(stretches: Readonly<Record<string, readonly Figures[]>>): void {
  const line = (name: string, cells: readonly string[]) =>
    process.stdout.write(`${name.padEnd(16)}${cells.map((cell) => cell.padStart(26)).join('')}\n`);
  line('', Object.keys(stretches));
  for (const [row, digits] of ROWS) {
    const cells = Object.values(stretches).map((measured) => {
      const sorted = measured.map((figures) => figures[row]!).sort((a, b) => a - b);
      const at = (index: number) => sorted[index]!.toFixed(digits);
      const middle = at(Math.floor(sorted.length / 2));
      return sorted.length === 1 ? middle : `${middle} (${at(0)} to ${at(sorted.length - 1)})`;
    });
    line(row, cells);
  }
}
