/** Builds the guest's first file system: busybox, the modules that it takes to reach the host's files, and guest/init. */
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** Wanted modules; those that a kernel has built in are skipped. */
const MODULES = [
  'virtio_pci',
  '9pnet_virtio',
  '9p',
  'overlay',
  'acpi-cpufreq',
  'cpufreq_ondemand',
  'cpufreq_conservative',
  'cpufreq_userspace',
  'cpufreq_powersave',
  'msr',
];

const DIRECTORY = 0o040755;
const EXECUTABLE = 0o100755;
const PLAIN = 0o100644;

interface Entry {
  readonly path: string;
  readonly mode: number;
  readonly data: Uint8Array;
}

/**
 * @param modulesDirectory the kernel's lib/modules/VERSION
 * @param guestDirectory holds `init`, and `units/` for systemd
 * @returns a gzipped cpio archive
 * @throws Error when a module is neither a file nor built in
 */
export function buildInitramfs(modulesDirectory: string, busybox: string, guestDirectory: string): Uint8Array {
  const modules = modulesInLoadOrder(modulesDirectory, MODULES);
  const directory = (path: string): Entry => ({ path, mode: DIRECTORY, data: new Uint8Array() });
  const file = (path: string, mode: number, data: string | Uint8Array): Entry => ({
    path,
    mode,
    data: Buffer.from(data),
  });
  const units = join(guestDirectory, 'units');
  return gzipSync(
    cpio([
      ...['bin', 'dev', 'mnt', 'modules', 'proc', 'sys', 'units'].map(directory),
      file('bin/busybox', EXECUTABLE, readFileSync(busybox)),
      file('init', EXECUTABLE, readFileSync(join(guestDirectory, 'init'))),
      ...readdirSync(units).map((unit) => file(`units/${unit}`, PLAIN, readFileSync(join(units, unit)))),
      ...modules.map((path) => file(`modules/${basename(path, '.xz')}`, PLAIN, readModule(path))),
      file('modules/order', PLAIN, modules.map((path) => `${basename(path, '.xz')}\n`).join('')),
    ]),
    { level: 1 },
  );
}

/** Depth first, so that a module follows what it depends on. The kernel takes - and _ in a module's name as one. */
function modulesInLoadOrder(modulesDirectory: string, wanted: readonly string[]): readonly string[] {
  const canonical = (name: string) => basename(basename(name, '.xz'), '.ko').replaceAll('-', '_');
  const files = readdirSync(modulesDirectory, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /\.ko(\.xz)?$/.test(path),
  );
  const fileOf = new Map(files.map((path) => [canonical(path), join(modulesDirectory, path)]));
  const builtIn = new Set(
    readFileSync(join(modulesDirectory, 'modules.builtin'), 'utf8').trim().split('\n').map(canonical),
  );
  const ordered = new Set<string>();
  const add = (name: string) => {
    const path = fileOf.get(canonical(name));
    if (path === undefined) {
      if (builtIn.has(canonical(name))) return;
      throw new Error(`build the initramfs: no module ${name} in ${modulesDirectory}`);
    }
    if (ordered.has(path)) return;
    for (const dependency of dependenciesOf(path)) add(dependency);
    ordered.add(path);
  };
  wanted.forEach(add);
  return [...ordered];
}

/** Debian's later kernels come with compressed modules, which busybox cannot load. */
const readModule = (path: string): Buffer =>
  path.endsWith('.xz') ? execFileSync('xz', ['-dc', path], { maxBuffer: 2 ** 26 }) : readFileSync(path);

/** From the module's own information section: `depends=a,b` between NUL bytes. */
function dependenciesOf(modulePath: string): readonly string[] {
  const match = /\0depends=([^\0]*)\0/.exec(readModule(modulePath).toString('latin1'));
  return match === null || match[1] === '' ? [] : match[1]!.split(',');
}

/** The `newc` format of Documentation/driver-api/early-userspace/buffer-format.rst. */
function cpio(entries: readonly Entry[]): Uint8Array {
  const end: Entry = { path: 'TRAILER!!!', mode: 0, data: new Uint8Array() };
  const pad = (length: number) => Buffer.alloc((4 - (length % 4)) % 4);
  return Buffer.concat(
    [...entries, end].flatMap(({ path, mode, data }, index) => {
      const name = Buffer.from(`${path}\0`);
      // inode, mode, uid, gid, links, mtime, size, device and special-device numbers, name size, checksum
      const fields = [index + 1, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
      const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
      return [header, name, pad(header.length + name.length), data, pad(data.length)];
    }),
  );
}
