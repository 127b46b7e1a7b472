import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server as NetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { RawClient } from './raw-client.ts';

/** A real server, alone in a folder of its own. */
export interface Server {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

const PATIENCE_MS = 20_000;

/** The kernel gives a connecting socket a port of this range, at any moment, and a server that wants it then cannot start. */
const EPHEMERAL_RANGE = '/proc/sys/net/ipv4/ip_local_port_range';
const LOWEST_PORT = 10_000;

/** A port of this machine that nothing uses now, for TCP or UDP, and that no client will be given. */
export async function freePort(): Promise<number> {
  const [end] = readFileSync(EPHEMERAL_RANGE, 'utf8').split(/\s/).map(Number) as [number];
  for (;;) {
    const port = randomInt(LOWEST_PORT, end);
    if ((await isFree(createServer().listen(port))) && (await isFree(createSocket('udp4').bind(port)))) return port;
  }
}

/** @param socket which is about to listen; it is closed again */
async function isFree(socket: NetServer | UdpSocket): Promise<boolean> {
  try {
    await once(socket, 'listening');
  } catch {
    return false;
  }
  socket.close();
  await once(socket, 'close');
  return true;
}

/** A request to Redis, and the bytes of its answer. */
export const PING = 'PING\r\n';
export const PONG_BYTES = '+PONG\r\n'.length;

/** @param settings more arguments, such as `--maxclients 15000` */
export async function startRedis(...settings: readonly string[]): Promise<Server> {
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'tailgov-redis-'));
  const args = ['--port', `${port}`, '--save', '', '--appendonly', 'no', '--dir', directory, '--bind', '127.0.0.1'];
  return untilItListens(spawn('redis-server', [...args, ...settings], { stdio: 'ignore' }), port, directory);
}

/** @param site what goes into the `server` block, such as `location / { return 200 ok; }`; @param options a certificate of its own; HTTP/2 without TLS */
export async function startNginx(site: string, options: { tls?: boolean; http2?: boolean } = {}): Promise<Server> {
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'tailgov-nginx-'));
  const tls = options.tls === true ? makeCertificate(directory) : '';
  writeFileSync(
    join(directory, 'nginx.conf'),
    `daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr crit;
    events { worker_connections 256; }
    http {
      access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
      server { listen 127.0.0.1:${port}${tls === '' ? '' : ' ssl'}${options.http2 === true ? ' http2' : ''}; ${tls} ${site} }
    }`,
  );
  const args = ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', 'stderr'];
  return untilItListens(spawn('nginx', args, { stdio: 'ignore' }), port, directory);
}

function makeCertificate(directory: string): string {
  const subject = ['-subj', '/CN=localhost', '-days', '2', '-keyout', 'key.pem', '-out', 'cert.pem'];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...subject], {
    cwd: directory,
    stdio: 'ignore',
  });
  return `ssl_certificate ${directory}/cert.pem; ssl_certificate_key ${directory}/key.pem; ssl_protocols TLSv1.3;`;
}

/** nghttpd, which serves the files of a directory by HTTP/2 without TLS. */
export async function startNghttpd(files: string): Promise<Server> {
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'tailgov-nghttpd-'));
  return untilItListens(spawn('nghttpd', ['--no-tls', '-d', files, `${port}`], { stdio: 'ignore' }), port, directory);
}

/** Compiles scripted-server.c, which says what scripts are. */
export function compileScriptedServer(program: string): void {
  const source = fileURLToPath(new URL('scripted-server.c', import.meta.url));
  execFileSync('clang', ['-O1', '-Wall', '-Werror', '-pthread', source, '-o', program]);
}

export async function startScripted(program: string, script: string, host = '127.0.0.1'): Promise<Server> {
  const child = spawn(program, [host, script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { port: Number(line), pid: child.pid!, stop: () => stop(child) };
}

/** A compiled scripted server; `start` runs as many as are wanted. */
export class ScriptedServers {
  readonly #directory = mkdtempSync(join(tmpdir(), 'tailgov-scripted-'));
  readonly #program = join(this.#directory, 'scripted-server');

  constructor() {
    compileScriptedServer(this.#program);
  }

  start(script: string, host?: string): Promise<Server> {
    return startScripted(this.#program, script, host);
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** @param child which serves on the port, once it does; @param directory goes with it; @param signal what ends it and its children */
export async function untilItListens(
  child: ChildProcess,
  port: number,
  directory: string,
  signal: NodeJS.Signals = 'SIGKILL',
): Promise<Server> {
  const server: Server = {
    port,
    pid: child.pid!,
    stop: async () => {
      await stop(child, signal);
      rmSync(directory, { recursive: true, force: true });
    },
  };
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const client = await RawClient.connect(port).catch(() => undefined);
    if (client !== undefined) {
      await client.close();
      return server;
    }
    if (child.exitCode !== null || performance.now() > deadline) {
      await server.stop();
      throw new Error(`${child.spawnfile} does not listen on port ${port} (exit code ${child.exitCode})`);
    }
    await sleep(20);
  }
}

async function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}
