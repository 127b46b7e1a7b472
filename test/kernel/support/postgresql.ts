import { execFile, execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort, type Server, untilItListens } from './servers.ts';

export interface PostgresqlServer extends Server {
  /** Where its Unix-domain socket is; the name that libpq looks for contains the port. */
  readonly socketDirectory: string;
  /** The path of one of the programs of its version, such as pgbench. */
  program(name: string): string;
}

/** Clients that speak plain libpq: no question for encryption before the first message. */
export const PLAIN_LIBPQ = { ...process.env, PGSSLMODE: 'disable', PGGSSENCMODE: 'disable' };

/** A PostgreSQL of its own on TCP and on a Unix-domain socket, which trusts whoever connects. */
export async function startPostgresql(): Promise<PostgresqlServer> {
  const directory = mkdtempSync(join(tmpdir(), 'tailgov-postgresql-'));
  // The server refuses to run as root.
  const user = { uid: idOf('-u'), gid: idOf('-g') };
  chownSync(directory, user.uid, user.gid);
  chmodSync(directory, 0o755);
  const programs = newestPrograms();
  const program = (name: string) => join(programs, name);
  const data = join(directory, 'data');
  const asItself = { stdio: 'ignore', cwd: directory, ...user } as const;
  execFileSync(program('initdb'), ['-A', 'trust', '-U', 'postgres', '-N', '-D', data], asItself);
  const port = await freePort();
  const settings = ['-p', `${port}`, '-k', directory, '-c', 'fsync=off', '-c', 'listen_addresses=127.0.0.1'];
  const child = spawn(program('postgres'), ['-D', data, ...settings], asItself);
  // It ends its children at once, and so does not wait for clients.
  const server = await untilItListens(child, port, directory, 'SIGQUIT');
  for (let tries = 200; !isReady(program('pg_isready'), port); tries--) {
    if (tries === 0) {
      await server.stop();
      throw new Error(`PostgreSQL on port ${port} does not get ready`);
    }
    await sleep(50);
  }
  return { ...server, socketDirectory: directory, program };
}

const CLIENTS = 7;
const TRANSACTIONS = 101;

/**
 * 101 transactions of each of 7 clients.
 * @param host an address, or where the Unix-domain socket is
 * @returns what a sensor is to count: transactions and greetings are turns, and the good-bye of a client is one that is abandoned
 */
export async function runPgbench(server: PostgresqlServer, host: string) {
  const { socketDirectory, port } = server;
  const script = join(socketDirectory, 'select.sql');
  writeFileSync(script, 'SELECT 1;\n');
  const load = ['-c', `${CLIENTS}`, '-t', `${TRANSACTIONS}`, '-n', '-f', script];
  const args = ['-h', host, '-p', `${port}`, '-U', 'postgres', ...load, 'postgres'];
  await promisify(execFile)(server.program('pgbench'), args, { env: PLAIN_LIBPQ });
  // pgbench connects once more, to see whether it can.
  const connections = CLIENTS + 1;
  const requests = CLIENTS * TRANSACTIONS + connections;
  return { arrivals: requests + connections, requests, abandoned: connections, unsolicited: 0, inFlight: 0 };
}

const idOf = (which: '-u' | '-g'): number => Number(execFileSync('id', [which, 'postgres'], { encoding: 'utf8' }));

function isReady(program: string, port: number): boolean {
  try {
    execFileSync(program, ['-h', '127.0.0.1', '-p', `${port}`], { stdio: 'ignore' });
    return true;
  } catch (error) {
    // It says no by its exit code.
    if ((error as { status?: number }).status === undefined) throw error;
    return false;
  }
}

/** Where Debian keeps the programs of PostgreSQL's newest version. */
function newestPrograms(): string {
  const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
  return `/usr/lib/postgresql/${versions[0]}/bin`;
}
