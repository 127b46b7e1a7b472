import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packageDeb } from '../../deploy/package-deb.mjs';

const ROOT = join(import.meta.dirname, '../..');
const onDebian = existsSync('/usr/bin/dpkg-deb') && ['x64', 'arm64'].includes(process.arch);

/** Stands in for the bundle: says who it is, and what it finds beside it. */
const PROGRAM = `#!/usr/bin/env node
import koffi from 'koffi';
import { readdirSync } from 'node:fs';
const policies = readdirSync(new URL('../policies', import.meta.url));
console.log(process.argv[2], typeof koffi.load, policies.includes('pid.yaml'));
`;

// dpkg is Debian's.
if (onDebian) describe('packageDeb()', packaged);
else it('needs dpkg-deb', () => expect(() => packageDeb({ root: ROOT, out: tmpdir() })).toThrow());

function packaged() {
  let folder: string;
  let checkout: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tailgov-deb-test-'));
    checkout = join(folder, 'checkout');
    mkdirSync(checkout);
    for (const path of ['deploy', 'policies', 'sysfs-mocks', 'package.json', 'LICENSE', 'CHANGELOG.md']) {
      cpSync(join(ROOT, path), join(checkout, path), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
    const built = {
      'cli.js': PROGRAM,
      'bpf/turns.bpf.o': 'object',
      'assets/report.js': '',
      'man/tailgov.1': '.TH TAILGOV 1\n',
      'completions/tailgov': '',
      'completions/_tailgov': '',
      'third-party-licenses.txt': 'licences\n',
      'sbom.cdx.json': '{}\n',
    };
    for (const [name, contents] of Object.entries(built)) {
      mkdirSync(join(checkout, 'dist', name, '..'), { recursive: true });
      writeFileSync(join(checkout, 'dist', name), contents);
    }
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const make = (node?: { binary: string; license: string }) =>
    packageDeb({ root: checkout, out: join(folder, 'out'), ...(node === undefined ? {} : { node }) });
  const field = (file: string, name: string) =>
    execFileSync('dpkg-deb', ['--field', file, name], { encoding: 'utf8' }).trim();

  it('installs into an empty root, runs there, and is purged without a trace', () => {
    const root = emptyRoot();
    const before = filesIn(root);
    expect(dpkg(root, '--install', make())).toBe(0);
    expect(readFileSync(join(root, 'usr/lib/systemd/system/tailgov.service'), 'utf8')).toContain('Type=notify');
    expect(statSync(root).mode & 0o777).toBe(0o755);
    const installed = join(root, 'usr/bin/tailgov');
    const run = spawnSync(process.execPath, [installed, 'hello'], { encoding: 'utf8' });
    expect(run.stdout + run.stderr).toBe('hello function true\n');
    expect(readFileSync(installed, 'utf8')).toMatch(/^#!\/usr\/bin\/node\n/);

    // What an administrator adds.
    writeFileSync(join(root, 'etc/tailgov/own-policy.yaml'), 'controller: pid\n');
    mkdirSync(join(root, 'etc/systemd/system/tailgov.service.d'), { recursive: true });
    writeFileSync(join(root, 'etc/systemd/system/tailgov.service.d/override.conf'), '[Service]\n');
    expect(dpkg(root, '--remove', 'tailgov')).toBe(0);
    expect(filesIn(root).filter((file) => !before.includes(file))).toEqual([
      'etc/default/tailgov',
      'etc/systemd/system/tailgov.service.d/override.conf',
      'etc/tailgov/own-policy.yaml',
      'etc/tailgov/tailgov.yaml',
    ]);
    expect(dpkg(root, '--purge', 'tailgov')).toBe(0);
    expect(filesIn(root)).toEqual(before);
    expect(existsSync(join(root, 'usr'))).toBe(false);
    expect(readdirSync(join(root, 'etc'))).toEqual(['systemd']);
  });

  it('governs nothing by itself: a dry run, and only when it is told to start', () => {
    const root = emptyRoot();
    expect(dpkg(root, '--install', make())).toBe(0);
    expect(readFileSync(join(root, 'etc/tailgov/tailgov.yaml'), 'utf8')).toMatch(/^mode: dry-run$/m);
    expect(existsSync(join(root, 'etc/systemd/system'))).toBe(false);
  });

  it('keeps what an administrator wrote into its configs over an upgrade', () => {
    const root = emptyRoot();
    expect(dpkg(root, '--install', make())).toBe(0);
    writeFileSync(join(root, 'etc/tailgov/tailgov.yaml'), '# mine\n');
    const manifest = join(checkout, 'package.json');
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace(/"version": "[^"]+"/, '"version": "99.0.0"'));
    expect(dpkg(root, '--install', make())).toBe(0);
    expect(readFileSync(join(root, 'etc/tailgov/tailgov.yaml'), 'utf8')).toBe('# mine\n');
    expect(readFileSync(join(root, 'usr/lib/tailgov/package.json'), 'utf8')).toContain('99.0.0');
  });

  it("depends on Debian's Node, or carries its own", () => {
    const plain = make();
    expect(field(plain, 'Depends')).toContain('nodejs (>= 20.19)');
    expect(field(plain, 'Architecture')).toBe(process.arch === 'x64' ? 'amd64' : 'arm64');

    writeFileSync(join(folder, 'LICENSE'), 'the licence of Node\n');
    const carrying = make({ binary: '/bin/true', license: join(folder, 'LICENSE') });
    expect(carrying).not.toBe(plain);
    expect(field(carrying, 'Depends')).not.toContain('nodejs');
    const root = emptyRoot();
    expect(dpkg(root, '--install', carrying)).toBe(0);
    expect(readFileSync(join(root, 'usr/bin/tailgov'), 'utf8')).toMatch(/^#!\/usr\/lib\/tailgov\/node\n/);
    expect(statSync(join(root, 'usr/lib/tailgov/node')).mode & 0o777).toBe(0o755);
    expect(readFileSync(join(root, 'usr/share/doc/tailgov/copyright'), 'utf8')).toContain('the licence of Node');
  });

  it('lists the sum of every file', () => {
    const contents = join(folder, 'contents');
    execFileSync('dpkg-deb', ['--raw-extract', make(), contents]);
    const { status, stdout } = spawnSync('md5sum', ['--check', '--strict', '--quiet', 'DEBIAN/md5sums'], {
      cwd: contents,
      encoding: 'utf8',
    });
    expect(status, stdout).toBe(0);
    const listed = readFileSync(join(contents, 'DEBIAN/md5sums'), 'utf8').match(/\S+$/gm);
    expect(listed).toEqual(filesIn(contents).filter((file) => !file.startsWith('DEBIAN/')));
  });

  function emptyRoot(): string {
    const root = mkdtempSync(join(folder, 'root-'));
    execFileSync('chmod', ['755', root]);
    for (const path of ['info', 'updates', 'triggers']) {
      mkdirSync(join(root, 'var/lib/dpkg', path), { recursive: true });
    }
    for (const file of ['status', 'available']) writeFileSync(join(root, 'var/lib/dpkg', file), '');
    return root;
  }
}

/** In a root without a shell: the package's scripts run outside of it, and honour $DPKG_ROOT. */
function dpkg(root: string, ...args: string[]): number | null {
  const forces = ['not-root', 'script-chrootless', 'depends'].map((force) => `--force-${force}`);
  const options = [`--root=${root}`, ...forces, '--force-confdef', '--log=/dev/null'];
  const { status, stderr } = spawnSync('dpkg', [...options, ...args], { encoding: 'utf8' });
  if (status !== 0) console.error(stderr);
  return status;
}

/** Files and links, without dpkg's own. */
function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .filter((file) => !file.startsWith('var/lib/dpkg/'))
    .sort();
}
