import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Bench, ROOT, until } from './support/daemon.ts';
import { RawClient } from './support/raw-client.ts';
import { startRedis, type Server } from './support/servers.ts';

interface Example {
  readonly command: string;
  /** What the page says that it answers, where it does. */
  readonly answer: string | undefined;
}

/** Blocks of commands, each with the answer that follows it. */
function examplesIn(page: string): readonly Example[] {
  const text = readFileSync(join(ROOT, 'docs', page), 'utf8');
  const block = /```sh\n(.*?)```(?:\s*```json\n(.*?)```)?/gs;
  return [...text.matchAll(block)].flatMap(([, commands, answer]) => {
    const lines = commands!.trim().split('\n');
    return lines.map((command, index) => ({ command, answer: index === lines.length - 1 ? answer : undefined }));
  });
}

let redis: Server;
let bench: Bench;
let metrics: string;

beforeAll(async () => {
  redis = await startRedis();
  bench = new Bench(`services:
  - name: cache
    target: { port: ${redis.port} }
    slo: { quantile: p99, latency: 5ms, window: 1min }
    policy: ${join(ROOT, 'policies/pid.yaml')}
telemetry: { metrics: '127.0.0.1:0' }
`);
  bench.start();
  await bench.governing();
  metrics = (await bench.client.status()).metrics!;
  const client = await RawClient.connect(redis.port);
  await client.exchange('PING\r\n', '+PONG\r\n'.length);
  await client.close();
  await until('some ticks are there', async () => (await bench.client.status()).ticks.count > 10);
});

afterAll(async () => {
  await bench?.close();
  await redis?.stop();
});

/** The places of this test instead of the usual ones. */
const here = (command: string) =>
  command
    .replaceAll('/run/tailgov', bench.runtime)
    .replaceAll('/etc/tailgov/policies', join(ROOT, 'policies'))
    .replaceAll('http://127.0.0.1:9750', metrics);

const run = (command: string) =>
  spawnSync('sh', ['-c', here(command)], { cwd: ROOT, encoding: 'utf8', timeout: 20_000 });

/** What of a documented answer is not so in the real one: other types, missing fields. `null` stands for what may be absent. */
function differences(documented: unknown, real: unknown, path = 'answer'): string[] {
  if (documented === null || real === null) return real === undefined ? [`${path} is missing`] : [];
  if (typeof documented !== typeof real) return [`${path} is a ${typeof real}`];
  if (Array.isArray(documented)) {
    if (!Array.isArray(real) || real.length === 0) return documented.length === 0 ? [] : [`${path} is empty`];
    return documented.length === 0 ? [] : differences(documented[0], real[0], `${path}[0]`);
  }
  if (typeof documented !== 'object') return [];
  return Object.entries(documented).flatMap(([key, value]) =>
    differences(value, (real as Record<string, unknown>)[key], `${path}.${key}`),
  );
}

describe('docs/control-socket.md', () => {
  const examples = examplesIn('control-socket.md');

  it('has an example of every route', () => {
    const source = readFileSync(join(ROOT, 'src/telemetry/control-server.ts'), 'utf8');
    const routes = [...source.matchAll(/'(GET|POST) (\/v1\/\w+)'/g)].map(([, method, path]) => `${method} ${path}`);
    const shown = examples.map(
      ({ command }) => `${command.includes('-X POST') ? 'POST' : 'GET'} ${/localhost(\/v1\/\w+)/.exec(command)![1]}`,
    );
    expect(routes.length).toBeGreaterThan(4);
    expect(new Set(shown)).toEqual(new Set(routes));
  });

  it.each(examples)('answers as it says: $command', ({ command, answer }) => {
    const { status, stdout, stderr } = run(command);
    expect(status, stderr).toBe(0);
    const documented = JSON.parse(answer!) as Record<string, unknown>;
    const real = JSON.parse(stdout) as Record<string, unknown>;
    expect(differences(documented, real)).toEqual([]);
    // Words that a reader would match.
    for (const key of ['state', 'service', 'lasts', 'error']) {
      if (documented[key] !== undefined) expect(real[key]).toBe(documented[key]);
    }
  });
});

describe('docs/metrics.md', () => {
  it.each(examplesIn('metrics.md'))('shows what works: $command', ({ command }) => {
    const { status, stdout, stderr } = run(command);
    expect(status, stdout + stderr).toBe(0);
    expect(stdout).toMatch(/SUCCESS|^# HELP tailgov_/m);
  });
});

describe('docs/dashboard.md', () => {
  it('names a page that is there', async () => {
    const text = readFileSync(join(ROOT, 'docs/dashboard.md'), 'utf8');
    const paths = new Set(
      [...text.matchAll(/http:\/\/(?:127\.0\.0\.1|localhost):9750(\/\w+)/g)].map(([, path]) => path!),
    );
    expect(paths).toEqual(new Set(['/dashboard']));
    for (const path of [...paths, '/dashboard/data?after=1']) {
      expect((await fetch(`${metrics}${path}`)).status).toBe(200);
    }
  });
});
