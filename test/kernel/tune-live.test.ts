import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { controllers } from '../../src/controller/registry.ts';
import { loadPolicy } from '../../src/policy/load-policy.ts';
import { type LiveMock, startLiveMock } from '../../src/sysfs/live-mock.ts';
import { Bench, CLI, until } from './support/daemon.ts';
import { RawClient } from './support/raw-client.ts';
import { type Server, startRedis } from './support/servers.ts';

let redis: Server;
let client: RawClient;
let load: NodeJS.Timeout;
let bench: Bench;
let kernel: LiveMock;
let policy: string;
const started: ChildProcess[] = [];

beforeAll(async () => {
  redis = await startRedis();
  client = await RawClient.connect(redis.port);
  load = setInterval(() => client.send('PING\r\n'), 5);
});

afterAll(async () => {
  clearInterval(load);
  await client.close();
  await redis.stop();
});

beforeEach(() => {
  bench = new Bench('', 'intel-pstate-rapl-2s-8c');
  policy = join(bench.folder, 'mine.yaml');
  writeFileSync(policy, 'controller: pid\ninterval: 100ms\nparameters: { setpoint: 0.8 }\n');
});

afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  kernel.close();
  await bench.close();
});

async function govern(latency: string): Promise<void> {
  bench.configure(`services:
  - name: cache
    target: { port: ${redis.port} }
    slo: { quantile: p99, latency: ${latency}, window: 1min }
    policy: ${policy}
telemetry: { metrics: off }
`);
  kernel = startLiveMock(bench.sysfs);
  bench.start();
  await bench.governing();
  await until('power is measured', async () => (await bench.client.status()).power?.source === 'measured');
}

function tune(...args: string[]) {
  const output = join(bench.folder, 'tuned.yaml');
  const fixed = ['--runtime', bench.runtime, '--block', '4s', '--warmup', '1s', '--output', output];
  const child = spawn(process.execPath, [CLI, 'policy', 'tune', '--live', 'cache', ...fixed, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const exited = new Promise<number | null>((done) => child.on('close', (code) => done(code)));
  return { child, exited, output, text: () => text };
}

const governing = async () => (await bench.client.status()).changes.policies[0]!.file;
const candidateGoverns = () => until('a candidate governs', async () => (await governing()) !== policy, 60_000);

describe('tailgov policy tune --live', () => {
  it('tries what is within the bounds on a real daemon and server, and leaves the original governing', async () => {
    await govern('1s');
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
    await govern('1us');
    const { exited, text } = tune('--bounds', 'setpoint=0.7..0.8');
    expect(await exited).toBe(1);
    expect(text()).toMatch(/given up: \d+ of \d+ requests were late.*governs again; no file was written/);
    expect(await governing()).toBe(policy);
  }, 120_000);

  it('goes back at Ctrl-C, and by itself where it is killed', async () => {
    await govern('1s');
    const interrupted = tune('--bounds', 'setpoint=0.7..0.9', '--block', '10min');
    await until('it has begun', () => Promise.resolve(interrupted.text().includes('up to')), 60_000);
    interrupted.child.kill('SIGINT');
    expect(await interrupted.exited).toBe(130);
    const stopped = tune('--bounds', 'setpoint=0.7..0.9');
    await candidateGoverns();
    stopped.child.kill('SIGINT');
    expect(await stopped.exited).toBe(130);
    expect(await governing()).toBe(policy);

    const killed = tune('--bounds', 'setpoint=0.7..0.9');
    await candidateGoverns();
    killed.child.kill('SIGKILL');
    await killed.exited;
    await until('the original governs by itself', async () => (await governing()) === policy, 60_000);
  }, 180_000);
});
