import { closeSync, constants, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { figure } from '../torture/tries.ts';
import { Bench, hangs, NO_METRICS, until } from './support/daemon.ts';
import { echoService } from './support/echo-service.ts';

const echo = echoService();
let bench: Bench;
afterEach(() => bench.close());

function start() {
  bench = new Bench(echo.config({}, NO_METRICS));
  return { original: bench.controls(), daemon: bench.start() };
}

describe('an operation that hangs', () => {
  it(
    'for some seconds and then returns is waited for: governing goes on in the same process',
    { timeout: 120_000 },
    async () => {
      const { original, daemon } = start();
      await bench.governing();
      const { pipe, end } = bench.hang('policy0/scaling_max_freq');
      await until('a thread of it hangs', () => hangs(daemon.process.pid!));
      const before = (await bench.client.status()).ticks;
      // Far less than what it is given up after.
      await sleep(1_000);
      end();
      // A reader lets the writer go.
      const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
      await until(
        'it ticks again, and tells what it has missed',
        async () => (await bench.client.status()).ticks.missed > before.missed,
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
      const { end } = bench.hang('policy0/energy_performance_preference');
      daemon.process.kill('SIGTERM');
      await until('a thread of it hangs', () => hangs(daemon.process.pid!));
      end();
      expect(await daemon.exited, daemon.output()).toBeNull();
      expect(daemon.output()).toMatch(/the loop thread has been stuck for \d+(\.\d)? s: giving it up/);
      await until('the guardian has put all back', () => /all \d+ controls are as they were/.test(daemon.output()));
      expect(bench.controls()).toEqual(original);
    },
  );
});
