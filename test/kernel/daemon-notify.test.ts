import { execFileSync } from 'node:child_process';
import { existsSync, renameSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { NotifySocket } from '../daemon/notify-socket.ts';
import { Bench, ROOT, until } from './support/daemon.ts';

const WATCHDOG_MS = 2_000;

let server: Server;
let config: string;
let bench: Bench;
let manager: NotifySocket;

beforeAll(async () => {
  server = createServer((socket) => socket.on('data', (data) => socket.write(data))).listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  config = `services:
  - name: echo
    target: { port: ${(server.address() as { port: number }).port} }
    slo: { quantile: p99, latency: 5ms, window: 1min }
    policy: ${join(ROOT, 'policies/pid.yaml')}
`;
});

afterAll(() => {
  server.close();
});

afterEach(async () => {
  vi.unstubAllEnvs();
  manager.close();
  await bench.close();
});

/** Starts a daemon that has a service manager; gathers what it tells it. */
function startManaged() {
  bench = new Bench(config);
  const original = bench.controls();
  manager = new NotifySocket();
  vi.stubEnv('NOTIFY_SOCKET', manager.address);
  vi.stubEnv('WATCHDOG_USEC', String(WATCHDOG_MS * 1000));
  const told: string[][] = [];
  const daemon = bench.start();
  const hears = (what: string, word: string, limitMs?: number) =>
    until(
      `the manager hears ${what}`,
      () => {
        told.push(...manager.receive());
        return told.some((datagram) => datagram.includes(word));
      },
      limitMs,
    );
  return { daemon, original, told, hears };
}

describe('tailgov run under a service manager', () => {
  it('says when it governs, feeds the watchdog while its loop moves, and says that it stops', async () => {
    const { daemon, told, hears } = startManaged();
    await hears('that it governs', 'READY=1', 30_000);
    // The watchdog may have been fed since.
    expect(told[0]).toEqual(['READY=1', 'STATUS=governing']);
    expect((await bench.client.status()).state).toBe('governing');
    told.length = 0;
    await hears('that the loop moves', 'WATCHDOG=1');
    told.length = 0;
    await hears('it again', 'WATCHDOG=1');
    expect(told.flat().findLast((line) => line.startsWith('STATUS='))).toMatch(/^STATUS=governing: echo idle, level /);
    daemon.process.kill('SIGTERM');
    await hears('that it stops', 'STOPPING=1');
    expect(told).toContainEqual(['STOPPING=1', 'STATUS=received SIGTERM']);
    expect(await daemon.exited).toBe(0);
  });

  it('stops in good order when it is told to while it starts', async () => {
    const { daemon, told, hears } = startManaged();
    await until('it takes signals', () => existsSync(join(bench.runtime, 'control.sock')));
    daemon.process.kill('SIGTERM');
    await hears('that it stops', 'STOPPING=1');
    expect(await daemon.exited, daemon.output()).toBe(0);
    told.push(...manager.receive());
    expect(told.flat()).toContain('STOPPING=1');
    expect(daemon.output()).not.toContain('the loop thread ended');
  });

  it('feeds no watchdog while its loop is stuck, gives it up, and has every control put back', async () => {
    const { daemon, original, told, hears } = startManaged();
    await hears('that it governs', 'READY=1', 30_000);
    // Opening a pipe that nobody reads blocks: the loop's first write to this control does not return.
    const control = join(bench.sysfs, 'devices/system/cpu/cpufreq/policy0/scaling_max_freq');
    const aside = `${control}.aside`;
    renameSync(control, aside);
    execFileSync('mkfifo', [control]);
    await until('the loop is stuck', async () => {
      const before = (await bench.client.status()).ticks.count;
      await sleep(1000);
      return (await bench.client.status()).ticks.count === before;
    });
    // The daemon's other thread finds it as it was.
    renameSync(aside, control);
    manager.receive();
    told.length = 0;
    expect(await daemon.exited, daemon.output()).toBe(null);
    told.push(...manager.receive());
    expect(told).toEqual([]);
    expect(daemon.output()).toMatch(/the loop thread has been stuck for \d+ s: giving it up/);
    // A thread that was only slow could have written until the last moment: who restores afterwards has the last word.
    await until(
      'the guardian has looked, too',
      () => /all \d+ controls are as they were/.test(daemon.output()),
      30_000,
    );
    expect(bench.controls()).toEqual(original);
    expect(existsSync(join(bench.runtime, 'journal'))).toBe(false);
  });
});
