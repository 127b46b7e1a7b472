import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { TargetSpec } from '../../src/sensor/target-spec.ts';
import { startDnsmasq, startHaproxy, startMemcached } from '../../test/kernel/support/more-servers.ts';
import { RawClient } from '../../test/kernel/support/raw-client.ts';
import { type Server, startNginx, startRedis } from '../../test/kernel/support/servers.ts';
import type { ClientView, LoadPlan, OpenLoopClient, Protocol } from './open-loop.ts';
import { pgbench } from './pgbench.ts';

/** A server under a load that a client of ours (or pgbench) makes. */
export interface Subject {
  readonly name: string;
  /** What is asked of it, in a few words. */
  readonly what: string;
  /** Whether each request has a connection of its own. */
  readonly connectionARequest?: true;
  /** @param with how many connections, or streams in flight, where not the subject's own number */
  start(client: OpenLoopClient, options?: { readonly connections?: number }): Promise<RunningSubject>;
}

export interface RunningSubject {
  /** What a sensor is opened for. */
  readonly target: Omit<TargetSpec, 'name'>;
  /** Every process of it, to be kept off the client's CPU. */
  readonly pids: readonly number[];
  load(plan: LoadPlan, cpu: number): Promise<ClientView>;
  stop(): Promise<void>;
}

export const SUBJECTS: readonly Subject[] = [
  {
    name: 'redis',
    what: 'GET of 4 bytes',
    start: async (client) => {
      const server = await startRedis();
      await exchange(server.port, 'SET key 1234\r\n', '+OK\r\n');
      return underClient(server, client, { protocol: 'redis', connections: 64, argument: 'GET key' });
    },
  },
  {
    name: 'redis-lrange',
    what: 'LRANGE of 300 elements',
    start: async (client) => {
      const server = await startRedis();
      await exchange(server.port, `RPUSH list${' element'.repeat(300)}\r\n`, ':300\r\n');
      return underClient(server, client, { protocol: 'redis', connections: 64, argument: 'LRANGE list 0 299' });
    },
  },
  {
    name: 'redis-unix',
    what: 'LRANGE of 300 elements by a Unix-domain socket',
    start: async (client) => {
      const path = join(tmpdir(), `tailgov-accuracy-${process.pid}.sock`);
      const server = await startRedis('--unixsocket', path);
      await exchange(server.port, `RPUSH list${' element'.repeat(300)}\r\n`, ':300\r\n');
      const how = { protocol: 'redis', connections: 64, argument: 'LRANGE list 0 299' } as const;
      const stop = async () => {
        await server.stop();
        rmSync(path, { force: true });
      };
      return { ...underClient(server, client, { ...how, at: path }), target: { unix: path }, stop };
    },
  },
  {
    name: 'memcached',
    what: 'get of 32 bytes, 4 threads',
    start: async (client) => {
      const server = await startMemcached(4);
      await exchange(server.port, `set key 0 0 32\r\n${'x'.repeat(32)}\r\n`, 'STORED\r\n');
      return underClient(server, client, { protocol: 'memcached', connections: 64, argument: 'key' });
    },
  },
  {
    name: 'memcached-multiget',
    what: 'get of 100 values of 32 bytes at once, 4 threads',
    start: async (client) => {
      const server = await startMemcached(4);
      const keys = Array.from({ length: 100 }, (_, index) => `key${index}`);
      const sets = keys.map((key) => `set ${key} 0 0 32\r\n${'x'.repeat(32)}\r\n`);
      await exchange(server.port, sets.join(''), 'STORED\r\n'.repeat(keys.length));
      return underClient(server, client, { protocol: 'memcached', connections: 64, argument: keys.join(' ') });
    },
  },
  {
    name: 'nginx-small',
    what: '256 bytes, keep-alive',
    start: async (client) =>
      underClient(await nginxWithFile(256), client, { protocol: 'http', connections: 64, argument: '/file' }),
  },
  {
    name: 'nginx-1mb',
    what: '1 MB by sendfile, keep-alive',
    start: async (client) =>
      underClient(await nginxWithFile(1 << 20), client, { protocol: 'http', connections: 16, argument: '/file' }),
  },
  {
    name: 'nginx-close',
    what: '256 bytes, a connection a request',
    connectionARequest: true,
    start: async (client) =>
      underClient(await nginxWithFile(256), client, { protocol: 'http-close', connections: 64, argument: '/file' }),
  },
  {
    name: 'haproxy',
    what: '256 bytes from nginx behind it; the proxy is measured',
    start: async (client) => {
      const backend = await nginxWithFile(256);
      const proxy = await startHaproxy(backend.port);
      const running = underClient(proxy, client, { protocol: 'http', connections: 64, argument: '/file' });
      const stop = async () => {
        await running.stop();
        await backend.stop();
      };
      return { ...running, pids: [...running.pids, ...familyOf(backend.pid)], stop };
    },
  },
  {
    name: 'node-cpu',
    what: 'Node, 2 ms of CPU on average, exponential',
    start: async (client) => underClient(await nodeServer('cpu', '2'), client, { protocol: 'http', connections: 256 }),
  },
  {
    name: 'inference',
    what: 'Node, 10 to 200 ms a request, a tenth of it on the CPU',
    start: async (client) =>
      underClient(await nodeServer('inference', '10', '200'), client, { protocol: 'http', connections: 256 }),
  },
  {
    name: 'grpc',
    what: 'Node, unary calls of 0.5 ms of CPU on average, exponential, up to 100 streams in flight on one connection',
    start: async (client, { connections = 100 } = {}) =>
      underClient(await nodeServer('grpc', '0.5'), client, { protocol: 'grpc', connections, argument: '/unary' }),
  },
  {
    name: 'dns',
    what: 'dnsmasq, an address that it knows, by UDP',
    start: async (client) => {
      const server = await startDnsmasq();
      const how = { protocol: 'dns', connections: 64, argument: 'example.test' } as const;
      return { ...underClient(server, client, how), target: { ports: [server.port], protocol: 'udp' } };
    },
  },
  { name: 'postgresql', what: 'pgbench -S, a process a connection', start: async () => pgbench() },
];

function underClient(
  server: Server,
  client: OpenLoopClient,
  how: {
    readonly protocol: Protocol;
    readonly connections: number;
    readonly argument?: string;
    /** Where not its port. */
    readonly at?: string;
  },
): RunningSubject {
  return {
    target: { ports: [server.port] },
    pids: familyOf(server.pid),
    load: (plan, cpu) => client.run({ at: server.port, ...how }, plan, cpu),
    stop: () => server.stop(),
  };
}

/** A process and its children, once they are there. */
export function familyOf(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return [pid, ...(children === '' ? [] : children.split(' ').flatMap((child) => familyOf(Number(child))))];
}

async function exchange(port: number, text: string, reply: string): Promise<void> {
  const client = await RawClient.connect(port);
  await client.exchange(text, reply.length);
  await client.close();
}

async function nginxWithFile(bytes: number): Promise<Server> {
  const root = mkdtempSync(join(tmpdir(), 'tailgov-accuracy-'));
  // Its worker is not root.
  chmodSync(root, 0o755);
  writeFileSync(join(root, 'file'), 'x'.repeat(bytes));
  const server = await startNginx(`root ${root}; sendfile on; tcp_nopush on; keepalive_requests 1000000000;`);
  return {
    ...server,
    stop: async () => {
      await server.stop();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

async function nodeServer(...args: string[]): Promise<Server> {
  const program = fileURLToPath(new URL('node-server.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { port: Number(line), pid: child.pid!, stop: () => ended(child) };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

/** Keeps every thread of the processes on one CPU. */
export function pinTo(cpu: number, pids: readonly number[]): void {
  for (const pid of pids) execFileSync('taskset', ['-acp', String(cpu), String(pid)], { stdio: 'ignore' });
}
