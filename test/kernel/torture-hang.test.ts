import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { figure } from '../torture/tries.ts';
import { Bench, ROOT, until } from './support/daemon.ts';

const PATIENCE_MS = 30_000;

let server: Server;
let bench: Bench;
beforeAll(async () => {
  server = createServer((socket) => socket.on('data', (data) => socket.write(data))).listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
});
afterAll(() => {
  server.close();
});
afterEach(() => bench.close());

function start() {
  bench = new Bench(`services:
  - name: echo
    target: { port: ${(server.address() as AddressInfo).port} }
    slo: { quantile: p99, latency: 5ms, window: 1min }
    policy: ${join(ROOT, 'policies/pid.yaml')}
telemetry: { metrics: off }
`);
  const original = bench.controls();
  return { original, daemon: bench.start() };
}

/** Exchanges a control for a pipe that nobody reads: whoever opens it for writing waits. */
function hang(control: string): { readonly hung: string; end(): void } {
  const path = join(bench.sysfs, 'devices/system/cpu/cpufreq', control);
  const [aside, hung] = [`${path}.aside`, `${path}.hung`];
  renameSync(path, aside);
  execFileSync('mkfifo', [path]);
  return {
    hung,
    end: () => {
      renameSync(path, hung);
      renameSync(aside, path);
    },
  };
}

/** Whether a thread of the process waits for somebody at the other end of a pipe that it opens. */
function hangs(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.some((tid) => readFileSync(`/proc/${pid}/task/${tid}/wchan`, 'utf8') === 'wait_for_partner');
}

describe('an operation that hangs', () => {
  it(
    'for some seconds and then returns is waited for: governing goes on in the same process',
    { timeout: 120_000 },
    async () => {
      const { original, daemon } = start();
      await bench.governing();
      const pipe = hang('policy0/scaling_max_freq');
      await until('a thread of it hangs', () => hangs(daemon.process.pid!), PATIENCE_MS);
      const before = (await bench.client.status()).ticks;
      // Less than what it is given up after.
      await sleep(2_000);
      pipe.end();
      // A reader lets the writer go.
      const reader = openSync(pipe.hung, constants.O_RDONLY | constants.O_NONBLOCK);
      await until(
        'it ticks again, and tells what it has missed',
        async () => (await bench.client.status()).ticks.missed > before.missed,
        PATIENCE_MS,
      );
      const { pid, state, ticks } = await bench.client.status();
      closeSync(reader);
      expect([pid, state]).toEqual([daemon.process.pid, 'governing']);
      daemon.process.kill('SIGTERM');
      expect(await daemon.exited, daemon.output()).toBe(0);
      expect(bench.controls()).toEqual(original);
      figure('an operation hangs and returns', { missed: ticks.missed });
    },
  );

  it(
    'while the controls are put back has the loop given up, and the guardian put them back',
    { timeout: 120_000 },
    async () => {
      const { original, daemon } = start();
      await bench.governing();
      const pipe = hang('policy0/energy_performance_preference');
      daemon.process.kill('SIGTERM');
      await until('a thread of it hangs', () => hangs(daemon.process.pid!), PATIENCE_MS);
      pipe.end();
      expect(await daemon.exited, daemon.output()).toBeNull();
      expect(daemon.output()).toMatch(/the loop thread has been stuck for \d+(\.\d)? s: giving it up/);
      await until(
        'the guardian has put all back',
        () => /all \d+ controls are as they were/.test(daemon.output()),
        PATIENCE_MS,
      );
      expect(bench.controls()).toEqual(original);
    },
  );
});
