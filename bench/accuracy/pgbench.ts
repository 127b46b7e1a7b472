import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { PLAIN_LIBPQ, startPostgresql } from '../../test/kernel/support/postgresql.ts';
import type { ClientView, LoadPlan } from './open-loop.ts';
import { processCpuMs } from './process-cpu.ts';
import { familyOf, type RunningSubject } from './subjects.ts';

const CLIENTS = 16;
/** To connect is a turn, for each client and for itself, and it asks for its tables twice. */
const TURNS_BESIDES = CLIENTS + 1 + 2;
const PATIENCE_MS = 30_000;
const LOOK_EVERY_MS = 100;

/** A PostgreSQL of its own, and pgbench as its client: `--rate` is a Poisson schedule, and its log has each transaction. */
export async function pgbench(): Promise<RunningSubject> {
  const server = await startPostgresql();
  const client = ['-h', '127.0.0.1', '-p', String(server.port), '-U', 'postgres'];
  const program = server.program('pgbench');
  execFileSync(program, [...client, '-i', '-q', 'postgres'], { stdio: 'ignore' });
  return {
    target: { ports: [server.port] },
    pids: familyOf(server.pid),
    load: (plan, cpu) => run(program, client, plan, cpu),
    stop: () => server.stop(),
  };
}

async function run(program: string, client: readonly string[], plan: LoadPlan, cpu: number): Promise<ClientView> {
  const directory = mkdtempSync(join(tmpdir(), 'tailgov-pgbench-'));
  try {
    const rate = plan.rate === 0 ? [] : ['--rate', String(plan.rate)];
    const args = ['-S', '-n', '-c', CLIENTS, '-T', Math.ceil(plan.seconds), '--random-seed', plan.seed, '--log'].map(
      String,
    );
    const busyRatio = await busyRatioOf(
      spawn('taskset', ['-c', String(cpu), program, ...client, ...args, ...rate, 'postgres'], {
        cwd: directory,
        env: PLAIN_LIBPQ,
        stdio: 'ignore',
        timeout: Math.ceil(plan.seconds * 1000) + PATIENCE_MS,
        killSignal: 'SIGKILL',
      }),
      plan.seconds,
    );
    // client, transaction, µs, script, epoch s, µs, and with a rate the µs that it began late.
    const lines = readdirSync(directory).flatMap((name) =>
      readFileSync(join(directory, name), 'utf8').trim().split('\n'),
    );
    const fields = lines.map((line) => line.split(' ').map(Number));
    const ns = (us: (field: number[]) => number) => Float64Array.from(fields, (field) => us(field) * 1000).sort();
    return {
      requests: lines.length,
      turnsBesides: TURNS_BESIDES,
      unanswered: 0,
      seconds: Math.ceil(plan.seconds),
      busyRatio,
      fromWriteNs: ns((field) => field[2]! - (field[6] ?? 0)),
      fromDueNs: ns((field) => field[2]!),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The share of the run in which the client was at work, by its CPU time shortly before it ended. */
async function busyRatioOf(client: ChildProcess, seconds: number): Promise<number> {
  const ended = once(client, 'exit') as Promise<[number | null]>;
  let cpuMs = 0;
  do cpuMs = processCpuMs(client.pid!) ?? cpuMs;
  while ((await Promise.race([ended, sleep(LOOK_EVERY_MS)])) === undefined);
  const [code] = await ended;
  if (code !== 0) throw new Error(`pgbench ended with ${code}`);
  return cpuMs / (seconds * 1000);
}
