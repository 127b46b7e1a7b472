#!/usr/bin/env node
/**
 * Builds a Debian package for this machine's architecture from the checkout:
 *
 *   node deploy/package-deb.mjs [--out DIRECTORY] [--with-node DIRECTORY]
 *
 * It depends on nodejs >= 20.19. With --with-node it carries a Node of its own instead, for releases whose nodejs is older:
 * that of an unpacked distribution, DIRECTORY/bin/node and DIRECTORY/LICENSE.
 * Prints the package's file name. Needs dpkg-deb.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from './build.mjs';
import { writeReference } from './reference.mjs';

const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64' };
const LIBRARY = 'usr/lib/tailgov';
const OWN_NODE = `/${LIBRARY}/node`;
const DEBIAN_NODE = '/usr/bin/node';
/** The oldest glibc and libstdc++ that koffi's prebuilt binary runs on, and Node's own. */
const DEPENDS = ['libc6 (>= 2.28)', 'libbpf1 (>= 1:1.0)'];
const DEPENDS_OF_NODE = ['libstdc++6 (>= 9)', 'libgcc-s1'];
const DESCRIPTION = `Description: tail-latency governor
 Measures the latency of every request of a server in the kernel, with eBPF, and
 keeps the CPUs at the lowest power that meets the latency objective.`;

/**
 * @param {{ root: string, out: string, node?: { binary: string, license: string } }} options `node`: what is carried along
 * @returns {string} the package's path
 */
export function packageDeb({ root, out, node }) {
  const { name, version, homepage } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const architecture = ARCHITECTURES[process.arch];
  if (architecture === undefined) throw new Error(`no Debian package for ${process.arch}: expected x64 or arm64`);
  const stage = mkdtempSync(join(tmpdir(), 'tailgov-deb-'));
  try {
    chmodSync(stage, 0o755);
    layOut(root, stage, { version, node });
    const files = filesBelow(stage);
    const control = [
      `Package: ${name}`,
      `Version: ${version}`,
      `Architecture: ${architecture}`,
      'Maintainer: tailgov contributors <maintainers@tailgov.invalid>',
      ...(homepage === undefined ? [] : [`Homepage: ${homepage}`]),
      'Section: admin',
      'Priority: optional',
      `Installed-Size: ${Math.ceil(files.reduce((bytes, file) => bytes + statSync(join(stage, file)).size, 0) / 1024)}`,
      `Depends: ${[...DEPENDS, ...(node === undefined ? ['nodejs (>= 20.19)'] : DEPENDS_OF_NODE)].join(', ')}`,
      DESCRIPTION,
      '',
    ].join('\n');
    put(stage, 'DEBIAN/control', control);
    put(stage, 'DEBIAN/conffiles', '/etc/tailgov/tailgov.yaml\n/etc/default/tailgov\n');
    put(stage, 'DEBIAN/md5sums', files.map((file) => `${md5(join(stage, file))}  ${file}\n`).join(''));
    for (const script of ['postinst', 'prerm', 'postrm']) {
      put(stage, `DEBIAN/${script}`, readFileSync(join(root, 'deploy/debian', script)), 0o755);
    }
    mkdirSync(out, { recursive: true });
    const variant = node === undefined ? '' : '-with-node';
    const file = join(out, `${name}${variant}_${version}_${architecture}.deb`);
    execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '-z3', '--build', stage, file], { stdio: 'pipe' });
    return file;
  } finally {
    rmSync(stage, { recursive: true });
  }
}

function layOut(root, stage, { version, node }) {
  const from = (path) => readFileSync(join(root, path));
  const copyFolder = (path, target) => {
    for (const file of filesBelow(join(root, path))) put(stage, join(target, file), from(join(path, file)));
  };
  // The package's own Node, whatever a user's PATH finds first.
  const interpreter = node === undefined ? DEBIAN_NODE : OWN_NODE;
  const program = from('dist/cli.js').toString().replace(/^#!.*/, `#!${interpreter}`);
  put(stage, `${LIBRARY}/dist/cli.js`, program, 0o755);
  for (const name of readdirSync(join(root, 'dist'))) {
    // The library is npm's.
    if (!name.endsWith('.js') || ['cli.js', 'index.js'].includes(name)) continue;
    put(stage, `${LIBRARY}/dist/${name}`, from(`dist/${name}`));
  }
  copyFolder('dist/bpf', `${LIBRARY}/dist/bpf`);
  copyFolder('dist/assets', `${LIBRARY}/dist/assets`);
  put(stage, `${LIBRARY}/package.json`, `${JSON.stringify({ name: 'tailgov', version, type: 'module' })}\n`);
  layOutKoffi(root, stage);
  if (node !== undefined) {
    copyFileSync(node.binary, join(stage, OWN_NODE));
    chmodSync(join(stage, OWN_NODE), 0o755);
  }
  for (const folder of ['policies', 'sysfs-mocks']) {
    copyFolder(folder, `usr/share/tailgov/${folder}`);
    symlinkSync(`../../share/tailgov/${folder}`, join(stage, LIBRARY, folder));
  }
  mkdirSync(join(stage, 'usr/bin'));
  symlinkSync('../lib/tailgov/dist/cli.js', join(stage, 'usr/bin/tailgov'));

  put(stage, 'usr/lib/systemd/system/tailgov.service', from('deploy/systemd/tailgov.service'));
  put(stage, 'usr/share/tailgov/systemd/cpusets.conf', from('deploy/systemd/cpusets.conf'));
  put(stage, 'etc/tailgov/tailgov.yaml', from('deploy/debian/tailgov.yaml'));
  put(stage, 'etc/default/tailgov', from('deploy/debian/tailgov.default'));
  put(stage, 'usr/share/man/man1/tailgov.1.gz', gzipSync(from('dist/man/tailgov.1'), { level: 9 }));
  put(stage, 'usr/share/bash-completion/completions/tailgov', from('dist/completions/tailgov'));
  put(stage, 'usr/share/zsh/vendor-completions/_tailgov', from('dist/completions/_tailgov'));
  const doc = 'usr/share/doc/tailgov';
  const licenses = [
    from('LICENSE'),
    from('dist/third-party-licenses.txt'),
    ...(node ? [readFileSync(node.license)] : []),
  ];
  put(stage, `${doc}/copyright`, licenses.join('\n'));
  put(stage, `${doc}/sbom.cdx.json`, from('dist/sbom.cdx.json'));
  put(stage, `${doc}/changelog.gz`, gzipSync(from('CHANGELOG.md'), { level: 9 }));
}

/** The loader, and the one binary of it that fits: no musl, no sources. */
function layOutKoffi(root, stage) {
  const modules = join(root, 'node_modules');
  const binary = `@koromix/koffi-linux-${process.arch}`;
  const wanted = /^(package\.json|LICENSE\.txt|(src\/koffi\/(src\/)?)?(index|static)\.c?js)$/;
  const files = [
    ...filesBelow(join(modules, 'koffi'))
      .filter((file) => wanted.test(file))
      .map((file) => join('koffi', file)),
    ...['package.json', 'index.js', `linux_${process.arch}/koffi.node`].map((file) => join(binary, file)),
  ];
  for (const file of files) put(stage, join(LIBRARY, 'node_modules', file), readFileSync(join(modules, file)));
}

/** Modes are what packages should have, whatever the umask. */
function put(stage, path, contents, mode = 0o644) {
  const file = join(stage, path);
  const created = mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
  for (let folder = dirname(file); created !== undefined && folder.length >= created.length; folder = dirname(folder)) {
    chmodSync(folder, 0o755);
  }
  writeFileSync(file, contents);
  chmodSync(file, mode);
}

/** @returns {string[]} regular files, relative to the directory */
function filesBelow(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}

const md5 = (file) => createHash('md5').update(readFileSync(file)).digest('hex');

// --- command line

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const { values } = parseArgs({
    options: { out: { type: 'string', default: join(root, 'dist') }, 'with-node': { type: 'string' } },
  });
  await build({ root, stages: ['bpf', 'bundle'] });
  await writeReference(root);
  console.log(packageDeb({ root, out: values.out, node: nodeIn(values['with-node']) }));
}

function nodeIn(directory) {
  if (directory === undefined) return undefined;
  const node = { binary: join(directory, 'bin/node'), license: join(directory, 'LICENSE') };
  for (const file of Object.values(node)) if (!existsSync(file)) throw new Error(`--with-node: no ${file}`);
  return node;
}
