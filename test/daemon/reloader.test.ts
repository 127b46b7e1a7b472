import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { moduleKind } from '../../src/controller/module.ts';
import { controllers } from '../../src/controller/registry.ts';
import { Reloader } from '../../src/daemon/reloader.ts';
import { ConfigLoader, type LoadedConfig } from '../../src/policy/config-loader.ts';

const fixedAt = (level: number) => `controller: fixed\nparameters: { level: ${level} }\n`;
const service = (name: string, port: number, policy: string, latency = '5ms') =>
  `  - { name: ${name}, target: { port: ${port} }, slo: { latency: ${latency} }, policy: ${policy} }\n`;

let folder: string;
let config: string;
let reloader: Reloader;
let applied: LoadedConfig[];
let lines: string[];
let refusal: Error | null;

const file = (name: string) => join(folder, name);
const write = (name: string, text: string) => writeFileSync(file(name), text);
const lastLevel = (name = 'web') =>
  applied.at(-1)!.config.services.find((candidate) => candidate.name === name)!.policy.parameters['level'];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-reloader-'));
  config = file('config.yaml');
  write('a.yaml', fixedAt(0.5));
  write('config.yaml', `services:\n${service('web', 80, 'a.yaml')}`);
  applied = [];
  lines = [];
  refusal = null;
  const loader = new ConfigLoader({ ...controllers, module: moduleKind(() => ({ ask: () => null }), resolve) });
  reloader = new Reloader({
    loader,
    running: loader.read(config),
    apply: (loaded) => {
      if (refusal !== null) return Promise.reject(refusal);
      applied.push(loaded);
      return Promise.resolve();
    },
    log: pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(line) }),
    wallMs: () => 1_700_000_000_000,
  });
});

afterEach(() => {
  reloader.close();
  rmSync(folder, { recursive: true });
});

describe('Reloader.reload()', () => {
  it('hands over what has changed, once, and nothing where nothing has', async () => {
    write('a.yaml', fixedAt(0.6));
    await reloader.reload('test');
    await reloader.reload('test');
    expect(applied).toHaveLength(1);
    expect(lastLevel()).toBe(0.6);
    expect(reloader.status()).toMatchObject({ made: 1, refused: 0, refusal: null });
  });

  it('hands over a module that has changed, though its policy has not, and notices it by itself', async () => {
    write('law.mjs', 'export const step = () => ({ level: 0.5 });');
    write('a.yaml', 'controller: module\nparameters: { file: law.mjs }\n');
    await reloader.reload('test');
    expect(applied).toHaveLength(1);
    reloader.start();
    write('law.mjs', 'export const step = () => ({ level: 0.6 });');
    await vi.waitFor(() => expect(applied).toHaveLength(2), { timeout: 30_000 });
    const [before, after] = applied.map(({ config: { services } }) => services[0]!.policy);
    expect(after!.parameters).toEqual(before!.parameters);
    expect(after).not.toBe(before);
  });

  it('changes nothing for a bad file, counts it, and shows every problem until the file is good', async () => {
    write('a.yaml', 'controller: fixed\nparameters: { level: 7, lever: 1 }\n');
    await reloader.reload('test');
    expect(applied).toEqual([]);
    expect(reloader.status()).toMatchObject({ made: 0, refused: 1 });
    expect(reloader.status().refusal!.problems).toHaveLength(2);
    expect(lines.filter((line) => line.includes('7 given'))).toHaveLength(1);
    write('a.yaml', fixedAt(0.5));
    await reloader.reload('test');
    // What is on disk again is what has been running all the time.
    expect(reloader.status()).toMatchObject({ made: 0, refused: 1, refusal: null });
  });

  it('shows what the loop has against a config, and keeps what ran', async () => {
    write('config.yaml', `services:\n${service('web', 81, 'a.yaml')}`);
    refusal = new Error('load the probes: not permitted');
    await reloader.reload('test');
    expect(reloader.status().refusal!.problems).toEqual(['load the probes: not permitted']);
    refusal = null;
    await reloader.reload('test');
    expect(applied.at(-1)!.config.services[0]!.target.ports).toEqual([81]);
  });

  it('says what waits for a restart, and no more of it when it is taken back', async () => {
    const text = readFileSync(config, 'utf8');
    write('config.yaml', `${text}telemetry: { metrics: off }\nruntimeDirectory: /tmp/x\nmode: dry-run\n`);
    await reloader.reload('test');
    expect(reloader.status().needsRestart).toEqual(['mode', 'telemetry', 'runtimeDirectory']);
    write('config.yaml', `${text}actuators: { frequency: { min: 1GHz } }\n`);
    await reloader.reload('test');
    expect(reloader.status().needsRestart).toEqual([]);
  });
});

describe('Reloader.swapPolicy()', () => {
  beforeEach(() => write('b.yaml', fixedAt(0.9)));

  it('governs one service by another policy until a restart', async () => {
    expect(await reloader.swapPolicy('web', file('b.yaml'), false)).toEqual({
      service: 'web',
      file: file('b.yaml'),
      lasts: false,
    });
    expect(lastLevel()).toBe(0.9);
    expect(reloader.status().policies).toEqual([
      { service: 'web', file: file('b.yaml'), controller: 'fixed', since: '2023-11-14T22:13:20.000Z', lasts: false },
    ]);
    // A change of something else leaves it in its place.
    write('config.yaml', `services:\n${service('web', 80, 'a.yaml', '9ms')}`);
    await reloader.reload('test');
    expect([lastLevel(), applied.at(-1)!.config.services[0]!.slo.latencyNs]).toEqual([0.9, 9_000_000]);
  });

  it('ends when the config names another policy, or the service goes', async () => {
    await reloader.swapPolicy('web', file('b.yaml'), false);
    write('c.yaml', fixedAt(0.3));
    write('config.yaml', `services:\n${service('web', 80, 'c.yaml')}`);
    await reloader.reload('test');
    expect(lastLevel()).toBe(0.3);
    await reloader.swapPolicy('web', file('b.yaml'), false);
    write('config.yaml', `services:\n${service('db', 81, 'a.yaml')}`);
    await reloader.reload('test');
    write('config.yaml', `services:\n${service('web', 80, 'c.yaml')}`);
    await reloader.reload('test');
    expect(lastLevel()).toBe(0.3);
  });

  it('is written into the config where it is to last', async () => {
    expect((await reloader.swapPolicy('web', file('b.yaml'), true)).lasts).toBe(true);
    expect(readFileSync(config, 'utf8')).toContain('policy: b.yaml }');
    expect(lastLevel()).toBe(0.9);
  });

  it('says that it will not last where the config cannot be written', async () => {
    rmSync(config);
    await expect(reloader.swapPolicy('web', file('b.yaml'), true)).rejects.toThrow('cannot be read');
    expect(applied).toEqual([]);
  });

  it('refuses a bad file and an unknown service, and changes nothing', async () => {
    write('bad.yaml', 'controller: none\n');
    await expect(reloader.swapPolicy('web', file('bad.yaml'), false)).rejects.toThrow('bad.yaml:1:13');
    await expect(reloader.swapPolicy('db', file('b.yaml'), false)).rejects.toThrow('no such service, expected web');
    expect(applied).toEqual([]);
    expect(reloader.status().policies[0]!.file).toBe(file('a.yaml'));
  });

  it('goes back by itself after the time that was asked for, unless that is renewed', async () => {
    write('c.yaml', fixedAt(0.7));
    await reloader.swapPolicy('web', file('c.yaml'), false);
    for (let renewal = 0; renewal < 3; renewal++) await reloader.swapPolicy('web', file('b.yaml'), false, 60_000);
    expect(reloader.status().policies[0]).toMatchObject({ lasts: false, endsAt: '2023-11-14T22:14:20.000Z' });
    // Renewing is no change.
    expect(applied.map(({ config: { services } }) => services[0]!.policy.parameters['level'])).toEqual([0.7, 0.9]);
    await reloader.swapPolicy('web', file('b.yaml'), false, 40);
    // To what was swapped in before, and not to the config's.
    await expect.poll(() => reloader.status().policies[0]!.file, { timeout: 20_000 }).toBe(file('c.yaml'));
    expect(lastLevel()).toBe(0.7);
    expect(reloader.status().policies[0]).not.toHaveProperty('endsAt');
    await reloader.swapPolicy('web', file('a.yaml'), false);
    await reloader.swapPolicy('web', file('b.yaml'), false, 40);
    await expect.poll(() => reloader.status().policies[0]!.lasts, { timeout: 20_000 }).toBe(true);
    expect(lastLevel()).toBe(0.5);
  });

  it('stays where a swap for a time is followed by one that lasts', async () => {
    write('c.yaml', fixedAt(0.7));
    await reloader.swapPolicy('web', file('b.yaml'), false, 60_000);
    await reloader.swapPolicy('web', file('c.yaml'), false, 1);
    await reloader.swapPolicy('web', file('b.yaml'), false);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await reloader.reload('test');
    expect(lastLevel()).toBe(0.9);
  });

  it('says no end of a policy that the config has put in the place of one that would have had one', async () => {
    write('c.yaml', fixedAt(0.7));
    await reloader.swapPolicy('web', file('b.yaml'), false, 60_000);
    write('config.yaml', `services:\n${service('web', 80, 'c.yaml')}`);
    await reloader.reload('test');
    expect(lastLevel()).toBe(0.7);
    expect(reloader.status().policies[0]).not.toHaveProperty('endsAt');
  });

  it('takes swaps one after the other, however they come', async () => {
    await Promise.all(['b.yaml', 'a.yaml', 'b.yaml'].map((name) => reloader.swapPolicy('web', file(name), false)));
    expect(applied.map(({ config: { services } }) => services[0]!.policy.parameters['level'])).toEqual([0.9, 0.5, 0.9]);
  });
});
