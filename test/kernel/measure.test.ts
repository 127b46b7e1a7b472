import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { SavingsReport } from '../../src/study/measure/savings-report.ts';
import { type StartedProgram, tailgov, until } from './support/daemon.ts';
import { meteredMachine } from './support/metered-machine.ts';

const machine = meteredMachine(10);
let daemon: StartedProgram;

beforeEach(async () => {
  const policy = join(machine.bench.folder, 'slow.yaml');
  writeFileSync(policy, 'controller: fixed\ninterval: 100ms\nparameters: { level: 0.4 }\n');
  daemon = await machine.govern(policy);
});

function measure(...args: string[]) {
  const program = machine.start('measure', '--json', ...args);
  return { ...program, report: () => JSON.parse(program.stdout()) as SavingsReport };
}

const stateOf = async () => (await machine.bench.client.status()).state;

describe('tailgov measure', () => {
  it('finds by the energy counters what governing saves, with the latency of a real server, and leaves it governing', async () => {
    const { exited, report, stderr } = measure('--blocks', '2', '--block', '4s', '--warmup', '2s', '--seed', '1');
    expect(await exited, stderr()).toBe(0);
    expect(await stateOf()).toBe('governing');
    const { pairs, ended, power, services } = report();
    expect([pairs, ended]).toEqual([2, null]);
    expect(power!.origin).toEqual({ source: 'measured', zones: ['package-0', 'package-1'] });
    // The mock draws 20 W and 1 W for each square of a CPU's GHz: 124 W at full speed, less than half at two fifths of it.
    expect(power!.watts.change!.mean).toBeLessThan(-0.3);
    const [cache] = services;
    expect(cache!.requests.governed).toBeGreaterThan(0);
    expect(cache!.requests.full).toBeGreaterThan(0);
    expect(cache!.p99Ms!.governed.mean).toBeGreaterThan(0);
    expect(cache!.p99Ms!.difference.plusMinus).not.toBeNull();
    expect(stderr()).toMatch(/block 4 of 4: .*W measured/);
  }, 90_000);

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'resumes at once and gives what it has at %s',
    async (signal) => {
      const { process, exited, report } = measure('--blocks', '50', '--block', '2s', '--warmup', '1s');
      await until('it has paused the daemon', async () => (await stateOf()) === 'paused');
      process.kill(signal);
      // No pair may be whole yet: then there is nothing to compare.
      expect([0, 1]).toContain(await exited);
      expect(report().ended).toBe(`received ${signal}`);
      expect(await stateOf()).toBe('governing');
    },
    90_000,
  );

  it('leaves a lease behind when it is killed, so that the daemon governs again by itself', async () => {
    const { process, exited } = measure('--blocks', '50', '--block', '2s', '--warmup', '1s');
    await until('it has paused the daemon', async () => (await stateOf()) === 'paused');
    process.kill('SIGKILL');
    await exited;
    await until('the daemon governs by itself', async () => (await stateOf()) === 'governing', 60_000);
    expect((await machine.bench.client.status()).pauseEnds).toBeNull();
    expect(daemon.output()).toContain('the pause has lasted as long as it was asked for');

    const paused = tailgov('pause', '--for', '10min', '--runtime', machine.bench.runtime);
    expect(paused.stdout).toMatch(/at full speed until 20.*, or `tailgov resume`/);
    const ends = (await machine.bench.client.status()).pauseEnds;
    expect(ends).not.toBeNull();
    await machine.bench.client.pause();
    expect((await machine.bench.client.pause(1)).pauseEnds).toBeNull();
    expect(await stateOf()).toBe('paused');
  }, 150_000);

  it('leaves an operator’s pause in force when it ends, and an operator’s resume ends its own', async () => {
    const first = measure('--blocks', '50', '--block', '2s', '--warmup', '1s');
    await until('it has paused the daemon', async () => (await stateOf()) === 'paused', 60_000);
    await machine.bench.client.pause();
    expect([0, 1]).toContain(await first.exited);
    expect(first.report().ended).toContain('somebody else has paused');
    expect(await stateOf()).toBe('paused');
    await machine.bench.client.resume();
    expect(await stateOf()).toBe('governing');

    const second = measure('--blocks', '50', '--block', '20s', '--warmup', '1s');
    await until('it has paused the daemon', async () => (await stateOf()) === 'paused', 60_000);
    await machine.bench.client.resume();
    expect(await stateOf()).toBe('governing');
    expect([0, 1]).toContain(await second.exited);
    expect(second.report().ended).toContain('somebody else has paused or resumed it');
  }, 150_000);

  it('ends when the daemon does, and refuses one that an operator has paused', async () => {
    await machine.bench.client.pause();
    const refused = tailgov('measure', '--runtime', machine.bench.runtime);
    expect(refused.status).toBe(2);
    expect(refused.stderr).toContain('the daemon is paused, expected one that governs');
    expect(await stateOf()).toBe('paused');
    await machine.bench.client.resume();
    const { exited, report } = measure('--blocks', '50', '--block', '2s', '--warmup', '1s');
    await until('it has paused the daemon', async () => (await stateOf()) === 'paused');
    daemon.process.kill('SIGTERM');
    expect(await daemon.exited).toBe(0);
    expect([0, 1]).toContain(await exited);
    expect(report().ended).toMatch(/no daemon listens|stopping|ECONNRESET|EPIPE|socket hang up|aborted/);
  }, 90_000);
});
