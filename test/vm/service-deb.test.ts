import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeRelease } from './node-release.ts';

const ROOT = join(import.meta.dirname, '../..');
const SCRIPT = join(ROOT, 'deploy/package-deb.mjs');
const IS_ROOT = process.getuid!() === 0;

let folder: string;
let root: string;
let pristine: readonly string[];
/** With a Node of its own, and without. */
let carrying: string;
let plain: string;

const text = (command: string, ...args: string[]) => execFileSync(command, args, { encoding: 'utf8' }).trim();
const field = (file: string, name: string) => text('dpkg-deb', '--field', file, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-clean-root-'));
  carrying = text(process.execPath, SCRIPT, '--out', folder, '--with-node', nodeRelease('24'));
  plain = text(process.execPath, SCRIPT, '--out', folder);
  root = join(folder, 'root');
  makeRoot(root, [...packagesIn(field(carrying, 'Depends')), ...essentials()]);
  mkdirSync(join(root, 'packages'));
  for (const file of [carrying, plain]) cpSync(file, join(root, 'packages', basename(file)));
  pristine = filesIn(root);
}, 300_000);

afterAll(() => rmSync(folder, { recursive: true }));

describe('the Debian package, in a root with nothing but what it depends on', () => {
  it('is refused where its Node is missing, and leaves nothing', () => {
    const { status, output } = inRoot('dpkg', '--install', `/packages/${basename(plain)}`);
    expect(status).not.toBe(0);
    expect(output).toContain('tailgov depends on nodejs (>= 20.19)');
    expect(inRoot('dpkg', '--purge', 'tailgov')).toMatchObject({ status: 0 });
    expect(filesIn(root)).toEqual(pristine);
  });

  it('is installed with a Node of its own, and works', () => {
    expect(inRoot('dpkg', '--install', `/packages/${basename(carrying)}`)).toMatchObject({ status: 0 });
    expect(inRoot('tailgov', '--version')).toEqual({ status: 0, output: `${field(carrying, 'Version')}\n` });
    const check = inRoot('tailgov', 'policy', 'check', '/etc/tailgov/tailgov.yaml');
    expect(check.output).toMatch(/tailgov\.yaml: config, ok/);
    const findings = inRoot('tailgov', 'doctor', '--json').output.trim().split('\n');
    const sensor = findings
      .map((line) => JSON.parse(line) as { check: string; state: string })
      .find((finding) => finding.check === 'sensor');
    expect(sensor?.state).toBe(IS_ROOT ? 'ok' : 'missing');
  });

  it('is purged without a trace', () => {
    writeFileSync(join(root, 'etc/tailgov/own-policy.yaml'), 'controller: pid\n');
    expect(inRoot('dpkg', '--purge', 'tailgov')).toMatchObject({ status: 0 });
    expect(filesIn(root)).toEqual(pristine);
  });
});

/** Runs a program of the root, which sees the packages in /, this kernel's /proc and /sys, and nothing else of this machine. */
function inRoot(...command: string[]): { status: number | null; output: string } {
  const script = `mount --rbind /proc "$0/proc" && mount --rbind /sys "$0/sys" && exec chroot "$0" "$@"`;
  const options = ['--mount', ...(IS_ROOT ? [] : ['--map-root-user'])];
  const { status, stdout, stderr } = spawnSync('unshare', [...options, 'sh', '-c', script, root, ...command], {
    encoding: 'utf8',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  return { status, output: stdout + stderr };
}

/** The names of a Depends field that are installed here; of alternatives, the first such. */
function packagesIn(depends: string): string[] {
  return depends.split(',').flatMap((alternatives) => {
    const names = alternatives.split('|').map((alternative) => alternative.trim().split(/[ :]/)[0]!);
    return names.find((name) => name !== '' && isInstalled(name)) ?? [];
  });
}

/** What every Debian has. */
const essentials = () =>
  text('dpkg-query', '--show', '--showformat', '${Essential} ${Package}\\n')
    .split('\n')
    .flatMap((line) => (line.startsWith('yes ') ? line.slice(4) : []));

const isInstalled = (name: string) =>
  spawnSync('dpkg-query', ['--show', '--showformat', '${db:Status-Abbrev}', name], {
    encoding: 'utf8',
  }).stdout.startsWith('ii');

/** The packages with all that they depend on, as they are installed here, in dpkg's books as well. */
function makeRoot(directory: string, names: readonly string[]): void {
  const closure = new Set<string>();
  const waiting = [...names];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (closure.has(name)) continue;
    closure.add(name);
    const format = '${Pre-Depends},${Depends}';
    waiting.push(...packagesIn(text('dpkg-query', '--show', '--showformat', format, name)));
  }
  for (const path of ['usr', 'proc', 'sys', 'var/lib/dpkg/info', 'var/lib/dpkg/updates', 'var/log', 'tmp', 'run']) {
    mkdirSync(join(directory, path), { recursive: true });
  }
  for (const merged of ['bin', 'sbin', 'lib', 'lib64']) {
    mkdirSync(join(directory, 'usr', merged));
    symlinkSync(`usr/${merged}`, join(directory, merged));
  }
  for (const name of closure) {
    for (const path of text('dpkg-query', '--listfiles', name).split('\n')) {
      const target = join(directory, path);
      if (!path.startsWith('/') || !existsSync(path) || existsSync(target) || isDirectory(path)) continue;
      mkdirSync(dirname(target), { recursive: true });
      cpSync(path, target, { verbatimSymlinks: true });
    }
  }
  const stanzas = [...closure].map((name) => text('dpkg-query', '--status', name));
  writeFileSync(join(directory, 'var/lib/dpkg/status'), `${stanzas.join('\n\n')}\n`);
}

const isDirectory = (path: string) => lstatSync(path).isDirectory();

/** Files and links, but for dpkg's books and logs. */
function filesIn(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length))
    .filter((file) => !/^\/var\/(lib\/dpkg|log)\//.test(file))
    .sort();
}
