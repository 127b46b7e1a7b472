import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { SensorError } from '../../src/core/errors.ts';
import { openSensor } from '../../src/sensor/open-sensor.ts';
import { METHOD_CHOICES } from '../../src/sensor/probe-methods.ts';

/** A way to measure a server, or none. */
export interface Way {
  readonly name: string;
  attach(): Promise<Attached>;
}

export interface Attached {
  /** CPU time of whoever reads, so far, in ms. */
  cpuMs(): number;
  detach(): Promise<void>;
}

const READ_EVERY_MS = 100;

/** What can be attached on this kernel, nothing first. */
export async function usableWays(port: number, objectDirectory: string): Promise<readonly Way[]> {
  const ways: Way[] = [
    { name: 'nothing', attach: () => Promise.resolve({ cpuMs: () => 0, detach: () => Promise.resolve() }) },
    ...METHOD_CHOICES.filter((method) => method !== 'auto').map((method): Way => ({
      name: method,
      attach: () => {
        const sensor = openSensor({ targets: [{ name: 'subject', ports: [port] }], method, objectDirectory });
        const reading = setInterval(() => sensor.read(), READ_EVERY_MS);
        const detach = () => {
          clearInterval(reading);
          sensor.close();
          return Promise.resolve();
        };
        return Promise.resolve({ cpuMs: ownCpuMs, detach });
      },
    })),
    { name: 'bpftrace', attach: () => bpftrace(port) },
  ];
  const usable: Way[] = [];
  for (const way of ways) {
    try {
      await (await way.attach()).detach();
      usable.push(way);
    } catch (error) {
      if (!(error instanceof SensorError) && !(error instanceof Error && 'code' in error)) throw error;
      console.log(`not here: ${way.name}: ${error.message}`);
    }
  }
  return usable;
}

function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** From arrival to the next send, as a histogram of powers of two: what a script of two lines gives. Needs tracefs mounted. */
async function bpftrace(port: number): Promise<Attached> {
  const script = `
tracepoint:sock:sk_data_ready { $sk = (struct sock *)args->skaddr; if ($sk->__sk_common.skc_num == ${port}) { @arrived[args->skaddr] = nsecs; } }
tracepoint:sock:sock_send_length { $at = @arrived[args->sk]; if ($at) { @latency_ns = hist(nsecs - $at); delete(@arrived[args->sk]); } }`;
  const child = spawn('bpftrace', ['-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
  await attachedIn(child);
  return {
    cpuMs: () => cpuMsOf(child.pid!),
    detach: async () => {
      const exit = once(child, 'exit');
      child.kill('SIGINT');
      await exit;
    },
  };
}

/** It says `Attaching N probes...`, and is then about to. */
async function attachedIn(child: ChildProcess): Promise<void> {
  await Promise.race([
    once(child.stdout!, 'data'),
    once(child, 'error').then(([error]) => Promise.reject(error as Error)),
    once(child, 'exit').then(([code]) =>
      Promise.reject(Object.assign(new Error(`bpftrace ended`), { code: String(code) })),
    ),
  ]);
  await sleep(1500);
}

const CLOCK_TICK_MS = 10;

/** Fields 14 and 15 of /proc/PID/stat, see proc(5). */
function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS;
}
