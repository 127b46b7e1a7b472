import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startPostgresql } from '../../test/kernel/support/postgresql.ts';
import type { ClientView, LoadPlan } from './open-loop.ts';
import { familyOf, type RunningSubject } from './subjects.ts';

const CLIENTS = 16;

/** A PostgreSQL of its own, and pgbench as its client: `--rate` is a Poisson schedule, and its log has each transaction. */
export async function pgbench(): Promise<RunningSubject> {
  const server = await startPostgresql();
  const client = ['-h', '127.0.0.1', '-p', String(server.port), '-U', 'postgres'];
  const program = server.program('pgbench');
  execFileSync(program, [...client, '-i', '-q', 'postgres'], { stdio: 'ignore' });
  return {
    port: server.port,
    pids: familyOf(server.pid),
    load: (plan, cpu) => run(program, client, plan, cpu),
    stop: () => server.stop(),
  };
}

async function run(program: string, client: readonly string[], plan: LoadPlan, cpu: number): Promise<ClientView> {
  const directory = mkdtempSync(join(tmpdir(), 'tailgov-pgbench-'));
  try {
    const rate = plan.rate === 0 ? [] : ['--rate', String(plan.rate)];
    const args = ['-S', '-n', '-c', CLIENTS, '-T', plan.seconds, '--random-seed', plan.seed, '--log'].map(String);
    await promisify(execFile)('taskset', ['-c', String(cpu), program, ...client, ...args, ...rate, 'postgres'], {
      cwd: directory,
    });
    // client, transaction, µs, script, epoch s, µs, and with a rate the µs that it began late.
    const lines = readdirSync(directory).flatMap((name) =>
      readFileSync(join(directory, name), 'utf8').trim().split('\n'),
    );
    const fields = lines.map((line) => line.split(' ').map(Number));
    const ns = (us: (field: number[]) => number) => Float64Array.from(fields, (field) => us(field) * 1000).sort();
    return {
      requests: lines.length,
      unanswered: 0,
      seconds: plan.seconds,
      busyRatio: null,
      fromWriteNs: ns((field) => field[2]! - (field[6] ?? 0)),
      fromDueNs: ns((field) => field[2]!),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
