import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '../../test/kernel/support/servers.ts';
import type { ClientView, LoadPlan } from './open-loop.ts';
import { familyOf, postgresqlPrograms, type RunningSubject } from './subjects.ts';

const CLIENTS = 16;

/** A PostgreSQL of its own, and pgbench as its client: `--rate` is a Poisson schedule, and its log has each transaction. */
export async function pgbench(): Promise<RunningSubject> {
  const directory = mkdtempSync(join(tmpdir(), 'tailgov-postgresql-'));
  // The server refuses to run as root.
  chmodSync(directory, 0o777);
  const programs = postgresqlPrograms();
  const data = join(directory, 'data');
  const asPostgres = (...command: string[]) => ['-u', 'postgres', '--', ...command];
  execFileSync('runuser', asPostgres(`${programs}/initdb`, '-A', 'trust', '-N', '-D', data), {
    stdio: 'ignore',
    cwd: directory,
  });
  const port = await freePort();
  const settings = ['-p', String(port), '-k', directory, '-c', 'fsync=off', '-c', 'listen_addresses=127.0.0.1'];
  const child = spawn('runuser', asPostgres(`${programs}/postgres`, '-D', data, ...settings), {
    stdio: 'ignore',
    cwd: directory,
  });
  const client = ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres'];
  await retried(() => execFileSync(`${programs}/pg_isready`, client, { stdio: 'ignore' }));
  execFileSync(`${programs}/pgbench`, [...client, '-i', '-q', 'postgres'], { stdio: 'ignore' });
  return {
    port,
    pids: familyOf(child.pid!),
    load: (plan, cpu) => run(`${programs}/pgbench`, client, plan, cpu),
    stop: async () => {
      const exit = once(child, 'exit');
      for (const pid of familyOf(child.pid!).slice(1)) process.kill(pid, 'SIGQUIT');
      await exit;
      rmSync(directory, { recursive: true, force: true });
    },
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

async function retried(action: () => void): Promise<void> {
  for (let tries = 100; ; tries--) {
    try {
      action();
      return;
    } catch (error) {
      if (tries === 0) throw error;
      await sleep(100);
    }
  }
}
