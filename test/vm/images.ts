/**
 * What the guest is made of: QEMU and Debian's stock kernel, downloaded and unpacked once into a cache outside the
 * checkout (nothing is installed), and the initramfs and ACPI tables that are built from them. Run as a program it does
 * just this, to fill the cache ahead of time.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { tableSource, type TablesName } from './acpi-tables.ts';
import { cacheDirectory, completionStamp, GUEST_PACKAGES, KERNEL_METAPACKAGE } from './available.mjs';
import { buildInitramfs } from './initramfs.ts';

const run = promisify(execFile);
const HERE = import.meta.dirname;
const GUEST_DIRECTORY = join(HERE, 'guest');
const TABLES: readonly TablesName[] = [
  'policy-per-cpu',
  'policy-per-pair',
  'clock-per-pair',
  'cppc',
  'cppc-autonomous',
];

/** See "The .xz File Format", 2.1.1.1. */
const XZ_MAGIC = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);

export interface GuestImages {
  readonly qemu: string;
  /** Where QEMU finds its firmware. */
  readonly qemuArguments: readonly string[];
  /** Where it finds its libraries. */
  readonly environment: NodeJS.ProcessEnv;
  /** An uncompressed kernel: to decompress it in the guest would take seconds. */
  readonly kernel: string;
  /** Such as `6.1.0-37-amd64`. */
  readonly kernelRelease: string;
  readonly initramfs: string;
  readonly tables: Readonly<Record<TablesName, string>>;
}

/** `stock`: that of this machine's Debian. `newer`: the same where it is new enough, else that of Debian's backports. */
export type KernelChoice = 'stock' | 'newer';

/** amd-pstate has its active mode since. */
const NEWER_FROM = [6, 3] as const;

/**
 * Downloads about 90 MB the first time, for a newer kernel 100 MB more; afterwards it only builds what has changed in this folder.
 * @throws Error with the failing tool's own words
 */
export async function ensureImages(choice: KernelChoice = 'stock'): Promise<GuestImages> {
  const stock = await ensurePackages();
  const packages = choice === 'stock' || (await isNewer(stock)) ? stock : await ensureBackport(stock);
  const kernelRelease = (await readdir(join(packages.kernel, 'lib/modules')))[0]!;
  const built = await ensureBuilt(packages, kernelRelease);
  const table = (name: TablesName) => join(built, `${name}.aml`);
  return {
    qemu: join(packages.tools, 'usr/bin/qemu-system-x86_64'),
    qemuArguments: ['usr/share/seabios', 'usr/share/qemu'].flatMap((path) => ['-L', join(packages.tools, path)]),
    environment: environmentOf(packages),
    kernel: join(packages.kernel, 'vmlinux'),
    kernelRelease,
    initramfs: join(built, 'initramfs.cpio.gz'),
    tables: {
      'policy-per-cpu': table('policy-per-cpu'),
      'policy-per-pair': table('policy-per-pair'),
      'clock-per-pair': table('clock-per-pair'),
      cppc: table('cppc'),
      'cppc-autonomous': table('cppc-autonomous'),
    },
  };
}

/** Two roots of unpacked packages. */
interface Packages {
  readonly tools: string;
  readonly kernel: string;
}

function environmentOf(packages: Packages): NodeJS.ProcessEnv {
  const libraries = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'].map((path) => join(packages.tools, path));
  return { ...process.env, LD_LIBRARY_PATH: libraries.join(':'), QEMU_MODULE_DIR: join(libraries[0]!, 'qemu') };
}

async function ensurePackages(): Promise<Packages> {
  const home = dirname(completionStamp());
  const packages: Packages = { tools: join(home, 'tools'), kernel: join(home, 'kernel') };
  if (existsSync(completionStamp())) return packages;
  await replaceDirectory(home, async (work) => {
    const debs = await download(join(work, 'debs'));
    for (const deb of debs) {
      await run('dpkg-deb', ['-x', deb, join(work, /\/linux-image-[^/]*$/.test(deb) ? 'kernel' : 'tools')]);
    }
    await rm(join(work, 'debs'), { recursive: true });
    await extractKernel(join(work, 'kernel'));
    await writeFile(join(work, 'complete'), `${debs.map((deb) => deb.replace(/.*\//, '')).join('\n')}\n`);
  });
  return packages;
}

async function isNewer({ kernel }: Packages): Promise<boolean> {
  const [major, minor] = (await readdir(join(kernel, 'lib/modules')))[0]!.split('.').map(Number);
  return major! > NEWER_FROM[0] || (major === NEWER_FROM[0] && minor! >= NEWER_FROM[1]);
}

/** From an archive that this machine's apt need not know: it is asked with lists of its own, and nothing is installed. */
async function ensureBackport({ tools }: Packages): Promise<Packages> {
  const home = join(cacheDirectory(), 'backports');
  const packages: Packages = { tools, kernel: join(home, 'kernel') };
  if (existsSync(home)) return packages;
  await replaceDirectory(home, async (work) => {
    const codename = /^VERSION_CODENAME=(\S+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1];
    const apt = join(work, 'apt');
    await mkdir(join(apt, 'lists/partial'), { recursive: true });
    const key = '/usr/share/keyrings/debian-archive-keyring.gpg';
    const source = `deb [signed-by=${key}] http://deb.debian.org/debian ${codename}-backports main\n`;
    await writeFile(join(apt, 'sources.list'), source);
    const own = [`sourcelist=${apt}/sources.list`, 'sourceparts=/dev/null'].map((option) => `Dir::Etc::${option}`);
    const options = [...own, `Dir::State::lists=${apt}/lists`, `Dir::Cache=${apt}`, 'Debug::NoLocking=true'];
    const flags = options.flatMap((option) => ['-o', option]);
    await run('apt-get', [...flags, 'update']);
    const { stdout } = await run('apt-cache', [...flags, 'depends', '--important', KERNEL_METAPACKAGE]);
    const name = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
    if (name === undefined) throw new Error(`fetch the guest: no ${KERNEL_METAPACKAGE} in ${codename}-backports`);
    await run('apt-get', [...flags, 'download', name], { cwd: apt });
    const deb = (await readdir(apt)).find((file) => file.endsWith('.deb'))!;
    await run('dpkg-deb', ['-x', join(apt, deb), join(work, 'kernel')]);
    await rm(apt, { recursive: true });
    await extractKernel(join(work, 'kernel'));
  });
  return packages;
}

/** @returns the paths of the packages' files */
async function download(directory: string): Promise<readonly string[]> {
  await mkdir(join(directory, 'partial'), { recursive: true });
  const fetchAll = async () => {
    const { stdout } = await run('apt-cache', ['depends', '--important', KERNEL_METAPACKAGE]);
    const kernelPackage = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
    if (kernelPackage === undefined) throw new Error(`fetch the guest: ${KERNEL_METAPACKAGE} names no kernel`);
    // Libraries that this machine has are not fetched again: QEMU then uses the machine's.
    const options = ['-o', `Dir::Cache::archives=${directory}`, '-o', 'Debug::NoLocking=true'];
    await run('apt-get', [
      'install',
      ...options,
      '-y',
      '--download-only',
      '--reinstall',
      '--no-install-recommends',
      ...GUEST_PACKAGES,
    ]);
    // By itself, without what it takes to install a kernel.
    await run('apt-get', ['download', kernelPackage], { cwd: directory });
  };
  try {
    await fetchAll();
  } catch (error) {
    if (process.getuid?.() !== 0) throw error;
    // The usual cause is a package list older than the archive.
    await run('apt-get', ['update']);
    await fetchAll();
  }
  return (await readdir(directory)).filter((name) => name.endsWith('.deb')).map((name) => join(directory, name));
}

/**
 * Takes an xz-compressed kernel out of its boot image, whose header says where it is: setup_sects, payload_offset and
 * payload_length of Documentation/arch/x86/boot.rst. The kernel's build appends four bytes of size to the payload. One that is
 * compressed otherwise stays as it is: the guest takes the seconds that it needs.
 */
async function extractKernel(root: string): Promise<void> {
  const name = (await readdir(join(root, 'boot'))).find((file) => file.startsWith('vmlinuz-'));
  if (name === undefined) throw new Error(`fetch the guest: no kernel image in ${root}/boot`);
  const image = await readFile(join(root, 'boot', name));
  const start = (image.readUInt8(0x1f1) + 1) * 512 + image.readUInt32LE(0x248);
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c) - 4);
  if (!payload.subarray(0, XZ_MAGIC.length).equals(XZ_MAGIC)) {
    await writeFile(join(root, 'vmlinux'), image);
    return;
  }
  const packed = join(root, 'vmlinux.xz');
  await writeFile(packed, payload);
  await run('xz', ['-d', packed]);
}

/** What this folder's own sources make, in a folder named after their content, so that an edit is never missed. */
async function ensureBuilt(packages: Packages, kernelRelease: string): Promise<string> {
  const units = join(GUEST_DIRECTORY, 'units');
  const sources = [
    ...['initramfs.ts', 'acpi-tables.ts', 'guest/init'].map((path) => join(HERE, path)),
    ...(await readdir(units)).sort().map((unit) => join(units, unit)),
  ];
  const hash = createHash('sha256').update(kernelRelease);
  for (const source of sources) hash.update(await readFile(source)).update('\0');
  const home = join(cacheDirectory(), 'built', hash.digest('hex').slice(0, 16));
  if (existsSync(home)) return home;

  await replaceDirectory(home, async (work) => {
    const iasl = join(packages.tools, 'usr/bin/iasl');
    for (const name of TABLES) {
      await writeFile(join(work, `${name}.dsl`), tableSource(name));
      await run(iasl, ['-p', name, `${name}.dsl`], { cwd: work, env: environmentOf(packages) });
    }
    const modules = join(packages.kernel, 'lib/modules', kernelRelease);
    // Debian's later releases keep all programs below /usr.
    const busybox = ['bin/busybox', 'usr/bin/busybox'].map((path) => join(packages.tools, path)).find(existsSync);
    if (busybox === undefined) throw new Error(`build the guest: no busybox in ${packages.tools}`);
    await writeFile(join(work, 'initramfs.cpio.gz'), buildInitramfs(modules, busybox, GUEST_DIRECTORY));
  });
  return home;
}

/** Fills a new directory and puts it in place whole, so that a broken run leaves nothing that looks complete. */
async function replaceDirectory(home: string, fill: (work: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(home), { recursive: true });
  const work = await mkdtemp(`${home}.`);
  try {
    await fill(work);
    await chmod(work, 0o755);
    await rm(home, { recursive: true, force: true });
    await rename(work, home);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const images = await ensureImages();
  process.stdout.write(`Linux ${images.kernelRelease} is ready in ${cacheDirectory()}\n`);
}
