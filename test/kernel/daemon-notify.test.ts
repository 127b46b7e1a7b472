import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { NotifySocket } from '../daemon/notify-socket.ts';
import { Bench, hangs, until } from './support/daemon.ts';
import { echoService } from './support/echo-service.ts';

const WATCHDOG_MS = 2_000;

const echo = echoService();
let bench: Bench;
let manager: NotifySocket;
afterEach(async () => {
  vi.unstubAllEnvs();
  manager.close();
  await bench.close();
});

/** Starts a daemon that has a service manager; gathers what it tells it. */
function startManaged() {
  bench = new Bench(echo.config());
  const original = bench.controls();
  manager = new NotifySocket();
  vi.stubEnv('NOTIFY_SOCKET', manager.address);
  vi.stubEnv('WATCHDOG_USEC', String(WATCHDOG_MS * 1000));
  const told: string[][] = [];
  const daemon = bench.start();
  const hears = (what: string, word: string) =>
    until(`the manager hears ${what}`, () => {
      told.push(...manager.receive());
      return told.some((datagram) => datagram.includes(word));
    });
  return { daemon, original, told, hears };
}

/** Whether the process has a handler for a signal. Node has one of its own for some, SIGTERM among them. */
function catches(pid: number, signal: number): boolean {
  const mask = /^SigCgt:\s+(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!;
  return (BigInt(`0x${mask}`) & (1n << BigInt(signal - 1))) !== 0n;
}

describe('tailgov run under a service manager', () => {
  it('says when it governs, feeds the watchdog while its loop moves, and says that it stops', async () => {
    const { daemon, told, hears } = startManaged();
    await hears('that it governs', 'READY=1');
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
    await until('it takes signals', () => catches(daemon.process.pid!, constants.signals.SIGHUP));
    daemon.process.kill('SIGTERM');
    await hears('that it stops', 'STOPPING=1');
    expect(await daemon.exited, daemon.output()).toBe(0);
    told.push(...manager.receive());
    expect(told.flat()).toContain('STOPPING=1');
    expect(daemon.output()).not.toContain('the loop thread ended');
  });

  it('feeds no watchdog while its loop is stuck, gives it up, and has every control put back', async () => {
    const { daemon, original, told, hears } = startManaged();
    await hears('that it governs', 'READY=1');
    const { end } = bench.hang('policy0/scaling_max_freq');
    await until('the loop is stuck', () => hangs(daemon.process.pid!));
    // The daemon's other thread finds it as it was.
    end();
    manager.receive();
    told.length = 0;
    expect(await daemon.exited, daemon.output()).toBe(null);
    told.push(...manager.receive());
    // The next look may find that the loop has moved since the last one: those after it find that it has not.
    expect(told.filter((datagram) => !datagram.includes('WATCHDOG=1'))).toEqual([]);
    expect(told.length).toBeLessThanOrEqual(1);
    expect(daemon.output()).toMatch(/the loop thread has been stuck for \d+ s: giving it up/);
    // A thread that was only slow could have written until the last moment: who restores afterwards has the last word.
    await until('the guardian has looked, too', () => /all \d+ controls are as they were/.test(daemon.output()));
    expect(bench.controls()).toEqual(original);
    expect(existsSync(join(bench.runtime, 'journal'))).toBe(false);
  });
});
