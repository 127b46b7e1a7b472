import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { METHOD_CHOICES } from '../../src/sensor/probe-methods.ts';
import { compileBpf } from '../../test/kernel/support/build-bpf.ts';
import { processCpuMs } from '../accuracy/process-cpu.ts';

/** A way to measure a server, or none. */
export interface Way {
  readonly name: string;
  /** Undefined where nothing is attached. */
  attach(): Promise<Attached | undefined>;
}

/** Somebody who measures, in a process of its own. */
export interface Attached {
  /** CPU time so far, in ms. */
  cpuMs(): number;
  detach(): Promise<void>;
}

/** The server that is measured. */
export interface Measured {
  readonly port: number;
  readonly pid: number;
}

const ATTACH_TIMEOUT_MS = 30_000;
const END_EVERY_MS = 500;
/** bpftrace says that it begins before the last of its probes is attached. */
const BPFTRACE_SETTLE_MS = 1000;

/** What can be attached on this kernel, nothing first. */
export async function usableWays(server: Measured, objectDirectory: string): Promise<readonly Way[]> {
  const events = join(objectDirectory, 'ring-events.o');
  compileBpf(fileURLToPath(new URL('ring-events.bpf.c', import.meta.url)), events);
  const ways: Way[] = [
    ...METHOD_CHOICES.filter((method) => method !== 'auto').map((method) => ({
      name: method,
      attach: () => attachReader('sensor', method, String(server.port), objectDirectory),
    })),
    { name: 'bpftrace', attach: () => attachBpftrace(server.port) },
    { name: 'an event a request', attach: () => attachReader('events', events, String(server.pid)) },
  ];
  const usable: Way[] = [{ name: 'nothing', attach: () => Promise.resolve(undefined) }];
  for (const way of ways) {
    try {
      await (await way.attach())!.detach();
      usable.push(way);
    } catch (error) {
      if (!(error instanceof NotAttached)) throw error;
      console.log(`not here: ${way.name}: ${error.message}`);
    }
  }
  return usable;
}

class NotAttached extends Error {}

async function attachReader(...args: string[]): Promise<Attached> {
  const program = fileURLToPath(new URL('reader.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  return attachedOnce(child, 'ready', 'SIGKILL');
}

/** From arrival to the next send, as a histogram of powers of two: what a script of two lines gives. Needs tracefs mounted. */
async function attachBpftrace(port: number): Promise<Attached> {
  const script = `
BEGIN { printf("ready\\n"); }
tracepoint:sock:sk_data_ready { $sk = (struct sock *)args->skaddr; if ($sk->__sk_common.skc_num == ${port}) { @arrived[args->skaddr] = nsecs; } }
tracepoint:sock:sock_send_length { $at = @arrived[args->sk]; if ($at) { @latency_ns = hist(nsecs - $at); delete(@arrived[args->sk]); } }`;
  const child = spawn('bpftrace', ['-B', 'line', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
  const attached = await attachedOnce(child, 'ready', 'SIGTERM');
  await sleep(BPFTRACE_SETTLE_MS);
  return attached;
}

/** @throws NotAttached with the last that it said, where it ends before it says the word */
async function attachedOnce(child: ChildProcess, word: string, end: NodeJS.Signals): Promise<Attached> {
  let said = '';
  child.stderr!.on('data', (text: Buffer) => (said = `${said}${text.toString()}`.slice(-2000)));
  const exited = new Promise<true>((resolve) => void child.once('exit', () => resolve(true)));
  const failed = once(child, 'error').then(([error]) => Promise.reject(new NotAttached((error as Error).message)));
  const ready = async () => {
    for await (const line of createInterface(child.stdout!)) if (line === word) return true;
    return false;
  };
  const there = await Promise.race([ready(), failed, sleep(ATTACH_TIMEOUT_MS, false)]);
  failed.catch(() => undefined);
  const detach = async () => {
    // bpftrace misses what comes while it attaches the last of its probes.
    do child.kill(end);
    while (!(await Promise.race([exited, sleep(END_EVERY_MS, false)])));
  };
  if (!there) {
    await detach();
    throw new NotAttached(`it does not measure: ${said.trim().split('\n').slice(-3).join(' ')}`);
  }
  child.stdout!.resume();
  return { cpuMs: () => processCpuMs(child.pid!) ?? 0, detach };
}
