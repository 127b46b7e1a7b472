import { execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
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

/** The address of example.test, please: a header of 12 bytes with one question, RFC 1035. */
export const DNS_QUERY = Buffer.from([
  ...[0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0],
  ...[7, ...Buffer.from('example'), 4, ...Buffer.from('test'), 0, 0, 1, 0, 1],
]);
const PATIENCE_MS = 20_000;

/** dnsmasq on a UDP port, which knows example.test and asks nobody. */
export async function startDnsmasq(): Promise<Server> {
  const port = await freePort();
  const settings = ['--no-resolv', '--no-hosts', '--address=/example.test/192.0.2.1', '--listen-address=127.0.0.1'];
  const args = ['--keep-in-foreground', '--conf-file=/dev/null', '--bind-interfaces', '--user=root', '--pid-file'];
  const child = spawn('dnsmasq', [...args, `--port=${port}`, ...settings], { stdio: ['ignore', 'ignore', 'inherit'] });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  try {
    await untilDnsAnswers(port);
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, pid: child.pid!, stop };
}

async function untilDnsAnswers(port: number): Promise<void> {
  const client = createSocket('udp4').bind(0, '127.0.0.1');
  // Nobody listens yet.
  client.on('error', () => undefined);
  const answered = once(client, 'message').then(() => true);
  const deadline = performance.now() + PATIENCE_MS;
  try {
    do {
      if (performance.now() > deadline) throw new Error(`dnsmasq on port ${port} does not answer`);
      client.send(DNS_QUERY, port, '127.0.0.1');
    } while (!(await Promise.race([answered, sleep(50, false)])));
  } finally {
    client.close();
  }
}
