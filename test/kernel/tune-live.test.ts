import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { controllers } from '../../src/controller/registry.ts';
import { loadPolicy } from '../../src/policy/load-policy.ts';
import { until } from './support/daemon.ts';
import { meteredMachine } from './support/metered-machine.ts';

const machine = meteredMachine(5);
let policy: string;

beforeEach(() => {
  policy = join(machine.bench.folder, 'mine.yaml');
  writeFileSync(policy, 'controller: pid\ninterval: 100ms\nparameters: { setpoint: 0.8 }\n');
});

function tune(...args: string[]) {
  const output = join(machine.bench.folder, 'tuned.yaml');
  const fixed = ['--block', '4s', '--warmup', '1s', '--output', output];
  const { process, exited, output: text } = machine.start('policy', 'tune', '--live', 'cache', ...fixed, ...args);
  return { process, exited, output, text };
}

const governing = async () => (await machine.bench.client.status()).changes.policies[0]!.file;
const candidateGoverns = () => until('a candidate governs', async () => (await governing()) !== policy, 60_000);

describe('tailgov policy tune --live', () => {
  it('tries what is within the bounds on a real daemon and server, and leaves the original governing', async () => {
    await machine.govern(policy, '1s');
    const { exited, text, output } = tune('--bounds', 'setpoint=0.7..0.8');
    expect(await exited, text()).toBe(0);
    expect(text()).toMatch(/setpoint 0\.8: power × 1\.000, .* of \d+ requests late/);
    expect(text()).toMatch(/setpoint 0\.7: power × \d/);
    expect(await governing()).toBe(policy);
    // Which of them draws less is the mock's noise: either is an answer.
    if (text().includes('Written:')) {
      expect(loadPolicy(output, controllers).parameters['setpoint']).toBe(0.7);
      expect(readFileSync(output, 'utf8')).toContain('on the live service cache');
    } else expect(text()).toContain('Nothing within the bounds was better');
  }, 120_000);

  it('gives up at too many late requests', async () => {
    await machine.govern(policy, '1us');
    const { exited, text } = tune('--bounds', 'setpoint=0.7..0.8');
    expect(await exited).toBe(1);
    expect(text()).toMatch(/given up: \d+ of \d+ requests were late.*governs again; no file was written/);
    expect(await governing()).toBe(policy);
  }, 120_000);

  it('goes back at Ctrl-C, and by itself where it is killed', async () => {
    await machine.govern(policy, '1s');
    const interrupted = tune('--bounds', 'setpoint=0.7..0.9', '--block', '10min');
    await until('it has begun', () => interrupted.text().includes('up to'));
    interrupted.process.kill('SIGINT');
    expect(await interrupted.exited).toBe(130);
    const stopped = tune('--bounds', 'setpoint=0.7..0.9');
    await candidateGoverns();
    stopped.process.kill('SIGINT');
    expect(await stopped.exited).toBe(130);
    expect(await governing()).toBe(policy);

    const killed = tune('--bounds', 'setpoint=0.7..0.9');
    await candidateGoverns();
    killed.process.kill('SIGKILL');
    await killed.exited;
    await until('the original governs by itself', async () => (await governing()) === policy, 60_000);
  }, 180_000);
});
