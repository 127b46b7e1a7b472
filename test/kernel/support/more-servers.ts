import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort, type Server, untilItListens } from './servers.ts';

const temporary = (name: string): string => mkdtempSync(join(tmpdir(), `tailgov-${name}-`));

export async function startMemcached(threads: number): Promise<Server> {
  const port = await freePort();
  const args = ['-u', 'nobody', '-l', '127.0.0.1', '-p', `${port}`, '-t', `${threads}`];
  return untilItListens(spawn('memcached', args, { stdio: 'ignore' }), port, temporary('memcached'));
}

/** A proxy before a server on this machine, with connections that are kept alive on both sides. */
export async function startHaproxy(backend: number): Promise<Server> {
  const port = await freePort();
  const directory = temporary('haproxy');
  const file = join(directory, 'haproxy.cfg');
  writeFileSync(
    file,
    `global
  maxconn 1000
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
frontend in
  bind 127.0.0.1:${port}
  default_backend out
backend out
  http-reuse always
  server one 127.0.0.1:${backend}
`,
  );
  return untilItListens(spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore' }), port, directory);
}

/** Worker processes with a listening socket each, among which the kernel spreads connections to one port. */
export async function startNginxWorkers(workers: number, site: string): Promise<Server> {
  const port = await freePort();
  const directory = temporary('nginx');
  const file = join(directory, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; user root; worker_processes ${workers}; pid nginx.pid; error_log stderr crit;
    events { worker_connections 256; }
    http { access_log off; server { listen 127.0.0.1:${port} reuseport; ${site} } }`,
  );
  const child = spawn('nginx', ['-p', directory, '-c', file, '-e', 'stderr'], { stdio: 'ignore' });
  return untilItListens(child, port, directory, 'SIGTERM');
}

/** A server that accepts, receives and sends through io_uring alone: io-uring-server.c. */
export async function startIoUring(): Promise<Server> {
  const directory = temporary('io-uring');
  const program = join(directory, 'io-uring-server');
  const source = fileURLToPath(new URL('io-uring-server.c', import.meta.url));
  execFileSync('clang', ['-O1', '-Wall', '-Werror', source, '-o', program]);
  const child = spawn(program, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return untilItListens(child, Number(line), directory);
}
