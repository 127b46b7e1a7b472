import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  filesBelow,
  findCycle,
  forbiddenImports,
  moduleGraph,
  readSources,
  reachableFrom,
  roomOf,
} from './module-graph.ts';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const words = (text: string) => text.trim().split(/\s+/);

const BASE = words('core native sensor controller planner sysfs actuator policy loop plant telemetry');
const SURFACE = words('core native sensor controller sysfs actuator policy plant telemetry compose daemon study demo');
/**
 * Who may import whom; docs/architecture.md says why. Data flows one way, so sensor, controller and actuator never know
 * one another: what they share is in core.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  native: [],
  sensor: ['core', 'native'],
  controller: ['core'],
  planner: ['core'],
  sysfs: ['core'],
  policy: ['core'],
  telemetry: ['core'],
  loop: ['core'],
  plant: ['core'],
  actuator: ['core', 'sysfs', 'native'],
  compose: BASE,
  daemon: [...BASE, 'compose'],
  study: [...BASE, 'compose'],
  demo: ['core', 'sensor', 'sysfs', 'plant', 'telemetry', 'study', 'policy', 'compose', 'daemon'],
  cli: SURFACE,
  'index.ts': SURFACE,
};

const TOP_LEVEL = words(`
  .ci .git .gitignore .prettierignore .prettierrc.json CHANGELOG.md CONTRIBUTING.md LICENSE README.md SECURITY.md bench bpf
  deploy docs eslint.config.js package-lock.json package.json policies src sysfs-mocks test tsconfig.json
  tsconfig.types.json vitest.config.ts
`);
/** The directories with text of ours. */
const DIRECTORIES = words('.ci bench bpf deploy docs policies src sysfs-mocks test');

const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const isFile = (name: string) => existsSync(join(ROOT, name)) && statSync(join(ROOT, name)).isFile();
/** A name against a pattern of .gitignore, of which we use `*` alone. */
const matchesGlob = (name: string, pattern: string) =>
  new RegExp(
    `^${pattern
      .split('*')
      .map((part) => part.replaceAll('.', '\\.'))
      .join('.*')}$`,
  ).test(name);
/** The rows of the Markdown table whose heading begins so, as cells. */
const tableBelow = (heading: string, text: string): string[][] => {
  const lines = text.split('\n');
  const first = lines.findIndex((line) => line.startsWith(heading)) + 2;
  const rows = lines.slice(first, lines.indexOf('', first));
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
};
const sources = moduleGraph(readSources(ROOT, ['src']));
const everything = moduleGraph(readSources(ROOT, ['src', 'test', 'bench', 'deploy']));

describe('the rooms of src/', () => {
  it('import what the table allows and nothing else', () => {
    expect(sources.size).toBeGreaterThan(0);
    expect(forbiddenImports(sources, MAY_IMPORT)).toEqual([]);
  });

  it('are those of docs/architecture.md, each with what it may import', () => {
    const documented: Record<string, readonly string[]> = {};
    for (const [rooms, allowed] of tableBelow('| room', read('docs/architecture.md'))) {
      const above = Object.keys(documented);
      const compound: Readonly<Record<string, readonly string[]>> = {
        'nothing of ours': [],
        'all of the above': above,
        'compose and all that it builds from': [...(documented['compose'] ?? []), 'compose'],
      };
      for (const room of rooms!.split(', ')) documented[room] = compound[allowed!] ?? allowed!.split(', ');
    }
    const sorted = (table: Readonly<Record<string, readonly string[]>>) =>
      Object.fromEntries(Object.entries(table).map(([room, allowed]) => [room, allowed.toSorted()]));
    expect(sorted(documented)).toEqual(sorted(MAY_IMPORT));
  });

  it('are each told of in docs/architecture.md', () => {
    const told = [...read('docs/architecture.md').matchAll(/^src\/(\S+?)\/? {2,}/gm)].map(([, room]) => room);
    expect(told.toSorted()).toEqual(Object.keys(MAY_IMPORT).toSorted());
  });

  it('have no cycle between their files', () => {
    expect(findCycle(sources)).toBeNull();
  });

  it('import only files that exist', () => {
    const missing = [...everything].flatMap(([file, imports]) =>
      imports
        .filter((target) => /^(src|test|bench|deploy)\//.test(target) && !everything.has(target))
        .map((target) => `${file} imports ${target}`),
    );
    expect(missing).toEqual([]);
  });

  it('hold no file that neither an entry nor a test reaches', () => {
    const isEntry = (file: string) =>
      !file.startsWith('src/') ||
      file === 'src/index.ts' ||
      ['src/cli/main.ts', 'src/daemon/loop-entry.ts', 'src/study/sweep/sweep-entry.ts'].includes(file);
    const reached = reachableFrom(everything, [...everything.keys()].filter(isEntry));
    expect([...sources.keys()].filter((file) => !reached.has(file))).toEqual([]);
  });

  it('leave native code to native', () => {
    const users = [...sources].filter(([, imports]) => imports.includes('koffi')).map(([file]) => roomOf(file));
    expect(new Set(users)).toEqual(new Set(['native']));
  });

  it('keep core free of packages but zod, which schemas are written in', () => {
    const used = [...sources].filter(([file]) => roomOf(file) === 'core').flatMap(([, imports]) => imports);
    expect(used.filter((target) => !/^(src\/|node:|zod$)/.test(target))).toEqual([]);
  });
});

describe('the repository', () => {
  it('has no other entries at its top', () => {
    const ignored = read('.gitignore')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.replace(/^\/|\/$/g, ''));
    const isIgnored = (name: string) => ignored.some((pattern) => matchesGlob(name, pattern));
    expect(readdirSync(ROOT).filter((name) => !TOP_LEVEL.includes(name) && !isIgnored(name))).toEqual([]);
  });

  it('names its files in kebab-case', () => {
    const files = ['src', 'test', 'bench', 'deploy', 'policies'].flatMap((directory) => filesBelow(ROOT, directory));
    expect(files.filter((file) => !/^([a-z0-9]+(-[a-z0-9]+)*[./]?)+(README\.md)?$/.test(file))).toEqual([]);
  });

  it('states the licence of every eBPF source in its first line', () => {
    const sourcesOfC = filesBelow(ROOT, 'bpf').filter((file) => /\.[ch]$/.test(file));
    expect(sourcesOfC.length).toBeGreaterThan(0);
    const spdx = /^(\/\/|\/\*) SPDX-License-Identifier: \(?(BSD-2-Clause OR GPL-2\.0|GPL-2\.0 OR BSD-2-Clause)/;
    expect(sourcesOfC.filter((file) => !spdx.test(read(file)))).toEqual([]);
  });

  it('names no path of the machine that it is checked out on', () => {
    const paths = [ROOT, homedir()]
      .filter((path) => path.split(sep).filter(Boolean).length > 1)
      .map((path) => path + sep);
    const files = DIRECTORIES.flatMap((directory) => filesBelow(ROOT, directory)).concat(TOP_LEVEL.filter(isFile));
    const naming = files.filter((file) => {
      const text = read(file);
      return paths.some((path) => text.includes(path)) || /\/(home|Users)\/[a-z]+\//.test(text);
    });
    expect(naming).toEqual([]);
  });
});

describe('package.json', () => {
  const manifest = JSON.parse(read('package.json')) as Manifest;
  const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, Manifest> };
  const wanted = { ...manifest.dependencies, ...manifest.devDependencies };

  it('pins every version exactly', () => {
    const exact = /^(npm:(@[a-z-]+\/)?[a-z0-9-]+@)?\d+\.\d+\.\d+$/;
    expect(Object.entries(wanted).filter(([, version]) => !exact.test(version))).toEqual([]);
  });

  it('is in step with the lockfile', () => {
    const { version, dependencies, devDependencies } = lock.packages['']!;
    expect({ version, dependencies, devDependencies }).toEqual({
      version: manifest.version,
      dependencies: manifest.dependencies,
      devDependencies: manifest.devDependencies,
    });
    for (const [name, range] of Object.entries(wanted)) {
      expect(range.endsWith(lock.packages[`node_modules/${name}`]?.version ?? 'no version'), name).toBe(true);
    }
  });

  it('keeps the lockfile free of the places that packages came from', () => {
    expect(read('package-lock.json')).not.toMatch(/"resolved"/);
  });
});

interface Manifest {
  readonly version: string;
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
}
