import { readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { moduleKind } from '../../src/controller/module.ts';
import { controllers } from '../../src/controller/registry.ts';
import { ConfigLoader } from '../../src/policy/config-loader.ts';
import { problemsOf, scratchFiles } from './scratch-files.ts';

const files = scratchFiles();
const service = (name: string, port: number, policy: string) =>
  `  - { name: ${name}, target: { port: ${port} }, slo: { latency: 5ms }, policy: ${policy} }\n`;
const fixedAt = (level: number) => `controller: fixed\nparameters: { level: ${level} }\n`;

/** Modules that are read, and never run. */
const withModules = {
  ...controllers,
  module: moduleKind(({ file }) => {
    readFileSync(file);
    return { ask: () => null };
  }, resolve),
};

describe('ConfigLoader', () => {
  it('reads a config and its policies, and parses the same texts elsewhere when the files have gone', () => {
    const policy = files.write('a.yaml', fixedAt(0.5));
    const file = files.write('config.yaml', `services:\n${service('web', 80, 'a.yaml')}`);
    const { sources, config } = new ConfigLoader(controllers).read(file);
    expect(Object.keys(sources.texts)).toEqual([file, policy]);
    rmSync(policy);
    rmSync(file);
    const copy = JSON.parse(JSON.stringify(sources)) as typeof sources;
    const elsewhere = new ConfigLoader(controllers).parse(copy);
    expect(elsewhere.services[0]!.policy.parameters).toEqual(config.services[0]!.policy.parameters);
    expect(problemsOf(() => new ConfigLoader(controllers).parse({ ...copy, texts: {} }))[0]).toContain('not among');
  });

  it('keeps a policy whose text stays, whatever else changes', () => {
    files.write('same.yaml', fixedAt(0.5));
    files.write('other.yaml', fixedAt(0.6));
    const text = `services:\n${service('web', 80, 'same.yaml')}${service('db', 81, 'other.yaml')}`;
    const file = files.write('config.yaml', text);
    const loader = new ConfigLoader(controllers);
    const before = loader.read(file).config;
    files.write('other.yaml', fixedAt(0.7));
    const after = loader.read(file).config;
    expect(after.services[0]!.policy).toBe(before.services[0]!.policy);
    expect(after.services[1]!.policy).not.toBe(before.services[1]!.policy);
  });

  it('makes a policy anew when the module that it names has changed, and only then', () => {
    const law = files.write('law.mjs', 'export const step = () => ({ level: 0.5 });\n');
    files.write('own.yaml', 'controller: module\nparameters: { file: law.mjs }\n');
    const file = files.write('config.yaml', `services:\n${service('web', 80, 'own.yaml')}`);
    const loader = new ConfigLoader(withModules);
    const first = loader.read(file);
    expect(Object.keys(first.sources.texts)).toContain(law);
    const again = loader.read(file);
    expect(again.config.services[0]!.policy).toBe(first.config.services[0]!.policy);
    expect(again.sources).toEqual(first.sources);
    files.write('law.mjs', 'export const step = () => ({ level: 0.6 });\n');
    const changed = loader.read(file);
    expect(changed.config.services[0]!.policy).not.toBe(first.config.services[0]!.policy);
    expect(changed.sources).not.toEqual(first.sources);
    // The other thread notices, too.
    const other = new ConfigLoader(withModules);
    const before = other.parse(first.sources).services[0]!.policy;
    expect(other.parse(first.sources).services[0]!.policy).toBe(before);
    expect(other.parse(changed.sources).services[0]!.policy).not.toBe(before);
  });

  it('names a module that cannot be read, too', () => {
    files.write('own.yaml', 'controller: module\nparameters: { file: away.mjs }\n');
    const file = files.write('config.yaml', `services:\n${service('web', 80, 'own.yaml')}`);
    const texts = new Map<string, string | null>();
    const read = () => new ConfigLoader(withModules).read(file, {}, (name, text) => texts.set(name, text));
    expect(problemsOf(read)).toEqual([expect.stringContaining('away.mjs cannot be run')]);
    expect(texts.get(join(files.directory, 'away.mjs'))).toBeNull();
  });

  it('keeps what it knew when the files go bad', () => {
    files.write('same.yaml', fixedAt(0.5));
    const file = files.write('config.yaml', `services:\n${service('web', 80, 'same.yaml')}`);
    const loader = new ConfigLoader(controllers);
    const before = loader.read(file).config;
    files.write('same.yaml', fixedAt(5));
    expect(problemsOf(() => loader.read(file))).toHaveLength(1);
    files.write('same.yaml', fixedAt(0.5));
    expect(loader.read(file).config.services[0]!.policy).toBe(before.services[0]!.policy);
  });

  it('names every file that it needed, the bad and the absent too', () => {
    const file = files.write(
      'config.yaml',
      `services:\n${service('web', 80, 'bad.yaml')}${service('db', 81, 'gone.yaml')}`,
    );
    const bad = files.write('bad.yaml', 'controller: none\n');
    const texts = new Map<string, string | null>();
    const read = () => new ConfigLoader(controllers).read(file, {}, (name, text) => texts.set(name, text));
    expect(problemsOf(read)).toHaveLength(2);
    expect([...texts.keys()]).toEqual([file, bad, join(files.directory, 'gone.yaml')]);
    expect(texts.get(bad)).toBe('controller: none\n');
    expect(texts.get(join(files.directory, 'gone.yaml'))).toBeNull();
  });

  it('puts another policy in the place of a service’s, and still knows which one is configured', () => {
    const configured = files.write('a.yaml', fixedAt(0.5));
    const other = files.write('b.yaml', fixedAt(0.9));
    const file = files.write('config.yaml', `services:\n${service('web', 80, 'a.yaml')}${service('db', 81, 'a.yaml')}`);
    const { config, sources } = new ConfigLoader(controllers).read(file, { web: other, gone: other });
    expect(config.services.map(({ policy }) => policy.file)).toEqual([other, configured]);
    expect(config.services.map(({ configuredPolicy }) => configuredPolicy)).toEqual([configured, configured]);
    expect(new ConfigLoader(controllers).parse(sources).services[0]!.policy.file).toBe(other);
  });
});
