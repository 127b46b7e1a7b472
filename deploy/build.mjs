#!/usr/bin/env node
/**
 * Builds dist/: `node deploy/build.mjs [bpf] [bundle] [types]`, all three where none is named.
 *
 *   bpf     bpf/*.bpf.c → dist/bpf/*.bpf.o       clang, llvm-strip
 *   bundle  src/cli/main.ts → dist/cli.js        esbuild; with what they share, and each command's own, in dist/*-HASH.js
 *           src/daemon/loop-entry.ts → dist/loop-entry.js
 *           src/study/sweep/sweep-entry.ts → dist/sweep-entry.js
 *           src/index.ts → dist/index.js
 *           assets/ below src/, uPlot → dist/assets/
 *   types   src/index.ts → dist/types/*.d.ts     tsc
 *
 * A stage is left alone when neither its inputs nor its outputs changed since it last ran.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A failure that the reader can act on: shown without a stack. */
export class BuildError extends Error {}

const STAGES = {
  bpf: { inputs: ['bpf'], outputs: bpfOutputs, run: compileBpf },
  bundle: { inputs: ['src', 'package.json', 'package-lock.json'], outputs: bundleOutputs, run: bundle },
  types: {
    inputs: ['src', 'tsconfig.json', 'tsconfig.types.json', 'package-lock.json'],
    outputs: typesOutputs,
    run: emitTypes,
  },
};

export const STAGE_NAMES = Object.keys(STAGES);

/**
 * @param {{ root: string, stages?: readonly string[] }} options
 * @throws {BuildError}
 * @returns {Promise<string[]>} the stages that had something to do
 */
export async function build({ root, stages = STAGE_NAMES }) {
  const built = [];
  for (const name of stages) {
    const stage = STAGES[name];
    if (stage === undefined) throw new BuildError(`no stage ${name}: expected ${STAGE_NAMES.join(', ')}`);
    if (isUpToDate(root, name)) continue;
    const stampFile = stampOf(root, name);
    rmSync(stampFile, { force: true });
    // Hashed before the work: an input that changes meanwhile makes the next build work again.
    const hash = hashInputs(root, name);
    const found = (await stage.run(root)) ?? [];
    mkdirSync(dirname(stampFile), { recursive: true });
    writeFileSync(stampFile, [hash, ...found].join('\n'));
    built.push(name);
  }
  return built;
}

/**
 * Whether the stage's outputs are there and were made from the inputs as they are now.
 *
 * @param {string} root
 * @param {string} name of the stage
 * @returns {boolean}
 */
export function isUpToDate(root, name) {
  const stampFile = stampOf(root, name);
  if (!existsSync(stampFile)) return false;
  const [hash, ...found] = readFileSync(stampFile, 'utf8').split('\n');
  const outputs = [...STAGES[name].outputs(root), ...found];
  return outputs.every((output) => existsSync(join(root, output))) && hash === hashInputs(root, name);
}

const stampOf = (root, name) => join(root, 'dist', '.stamps', name);

function hashInputs(root, name) {
  const hash = createHash('sha256').update(process.arch);
  for (const file of [
    fileURLToPath(import.meta.url),
    ...STAGES[name].inputs.flatMap((path) => filesBelow(join(root, path))),
  ]) {
    const bytes = readFileSync(file);
    hash.update(`${relative(root, file)}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex');
}

/** @returns {string[]} the file itself, or every file below the directory, in a fixed order */
function filesBelow(path) {
  if (!existsSync(path)) return [];
  try {
    return readdirSync(path)
      .sort()
      .flatMap((name) => filesBelow(join(path, name)));
  } catch (error) {
    if (error.code === 'ENOTDIR') return [path];
    throw error;
  }
}

// --- bpf

const bpfSources = (root) =>
  existsSync(join(root, 'bpf'))
    ? readdirSync(join(root, 'bpf'))
        .filter((name) => name.endsWith('.bpf.c'))
        .sort()
    : [];

const objectOf = (source) => join('dist', 'bpf', source.replace(/\.c$/, '.o'));

function bpfOutputs(root) {
  return bpfSources(root).map(objectOf);
}

/** The names that libbpf's headers know the architectures by. */
const BPF_ARCH = {
  x64: 'x86',
  arm64: 'arm64',
  riscv64: 'riscv',
  s390x: 's390',
  ppc64: 'powerpc',
  loong64: 'loongarch',
};
/** Where Debian keeps asm/*.h, which clang does not look at when the target is bpf. */
const MULTIARCH = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

function compileBpf(root) {
  const directory = join(root, 'dist', 'bpf');
  mkdirSync(directory, { recursive: true });
  const objects = new Set(bpfOutputs(root).map((path) => basename(path)));
  for (const name of readdirSync(directory)) if (!objects.has(name)) rmSync(join(directory, name), { recursive: true });

  for (const source of bpfSources(root)) {
    const object = join(root, objectOf(source));
    const scratch = `${object}.${process.pid}`;
    try {
      runTool(root, 'clang', [
        ...['-O2', '-g', '-target', 'bpf', '-mcpu=v3', '-Wall', '-Werror'],
        `-D__TARGET_ARCH_${BPF_ARCH[process.arch] ?? process.arch}`,
        ...['-I', 'bpf', '-idirafter', `/usr/include/${MULTIARCH[process.arch] ?? process.arch}`],
        // BTF keeps source lines for the verifier's log: with paths that mean something elsewhere, too.
        `-fdebug-prefix-map=${root}=.`,
        ...['-c', join('bpf', source), '-o', scratch],
      ]);
      // Takes DWARF away and leaves BTF, which is what the kernel and libbpf read.
      runTool(root, 'llvm-strip', ['-g', scratch]);
      renameSync(scratch, object);
    } finally {
      rmSync(scratch, { force: true });
    }
  }
}

function runTool(root, command, args) {
  const { error, status, signal } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  // EACCES: a directory of the PATH that this user may not look into.
  if (error?.code === 'ENOENT' || error?.code === 'EACCES') {
    throw new BuildError(
      `${command} is not installed, and bpf/ needs it; on Debian: apt-get install --no-install-recommends clang llvm libbpf-dev`,
    );
  }
  if (error !== undefined) throw error;
  if (status !== 0)
    throw new BuildError(`${command} failed (${signal ?? `exit ${status}`}): ${command} ${args.join(' ')}`);
}

// --- bundle

/** The program's files; what a command or a thread does not need it does not load. All side by side: they find one another so. */
const PROGRAM = {
  entries: {
    'dist/cli.js': 'src/cli/main.ts',
    'dist/loop-entry.js': 'src/daemon/loop-entry.ts',
    'dist/sweep-entry.js': 'src/study/sweep/sweep-entry.ts',
  },
  options: {
    splitting: true,
    outdir: 'dist',
    chunkNames: '[name]-[hash]',
    // Bundled, it starts four times faster than module by module; only koffi, with its native part, stays outside.
    external: ['koffi'],
    // Every thread keeps the text of what it has loaded. Names stay, and so do lines: stacks can be read.
    minifyWhitespace: true,
    lineLimit: 160,
    plugins: [{ name: 'english-only', setup: englishOnly }],
    // Bundled CommonJS modules ask for Node's own by require, which an ES module has not.
    banner: {
      js: [
        "import { createRequire as bundledCreateRequire } from 'node:module';",
        'const require = bundledCreateRequire(import.meta.url);',
      ].join('\n'),
    },
  },
};

// A library's dependencies belong to whoever installs it.
const LIBRARY = {
  entries: { 'dist/index.js': 'src/index.ts' },
  options: { outdir: 'dist', packages: 'external' },
};

const CHUNK = /-[A-Z0-9]{8}\.js$/;

/** zod's words in fifty languages, none of which we use: our messages are our own. */
function englishOnly({ onLoad }) {
  onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, ({ path }) => ({
    contents: "export { default as en } from './en.js';",
    resolveDir: dirname(path),
  }));
}

/** What reports and the dashboard carry of uPlot: only the build needs the package. */
const VENDORED_ASSETS = ['uplot/dist/uPlot.iife.min.js', 'uplot/dist/uPlot.min.css'];

function bundleOutputs(root) {
  const entries = [PROGRAM, LIBRARY].flatMap((part) => Object.keys(presentEntries(root, part)));
  return [...entries, ...Object.keys(assetsOf(root))];
}

const presentEntries = (root, { entries }) =>
  Object.fromEntries(Object.entries(entries).filter(([, source]) => existsSync(join(root, source))));

/** The source of each file that the program reads at run time, by its place in dist/. */
function assetsOf(root) {
  const own = filesBelow(join(root, 'src')).filter((file) => basename(dirname(file)) === 'assets');
  const vendored = VENDORED_ASSETS.map((specifier) => createRequire(import.meta.url).resolve(specifier));
  return Object.fromEntries([...own, ...vendored].map((file) => [join('dist', 'assets', basename(file)), file]));
}

/** @returns {Promise<string[]>} the outputs whose names only the bundler knows */
async function bundle(root) {
  // Nothing is replaced before all of it could be made.
  const files = [];
  for (const part of [PROGRAM, LIBRARY]) {
    const entries = presentEntries(root, part);
    if (Object.keys(entries).length > 0) files.push(...(await bundled(root, entries, part.options)));
  }
  const names = files.map(({ path }) => relative(root, path));
  const chunks = names.filter((name) => CHUNK.test(name));
  // An entry comes after what it imports.
  for (const { path, text } of files.toSorted((a, b) => CHUNK.test(b.path) - CHUNK.test(a.path))) {
    const isCommand = relative(root, path) === 'dist/cli.js';
    replaceFile(path, isCommand ? `#!/usr/bin/env node\n${text}` : text, isCommand ? 0o755 : 0o644);
  }
  for (const name of readdirSync(join(root, 'dist'))) {
    if (CHUNK.test(name) && !chunks.includes(join('dist', name))) rmSync(join(root, 'dist', name));
  }
  for (const [output, source] of Object.entries(assetsOf(root))) {
    replaceFile(join(root, output), readFileSync(source), 0o644);
  }
  return chunks;
}

/** @returns {Promise<readonly { path: string, text: string }[]>} */
async function bundled(root, entries, options) {
  const { build: esbuild, formatMessages } = await import('esbuild');
  const entryPoints = Object.entries(entries).map(([output, source]) => ({ in: source, out: basename(output, '.js') }));
  const result = await esbuild({
    ...{ absWorkingDir: root, entryPoints, write: false, logLevel: 'silent' },
    ...{ bundle: true, platform: 'node', target: 'node20', format: 'esm' },
    ...options,
  }).catch((error) => {
    if (error.errors === undefined) throw error;
    return error;
  });
  const complaints = [...result.errors, ...result.warnings];
  if (complaints.length === 0) return result.outputFiles;
  const text = (await formatMessages(complaints, { kind: 'error' })).join('').trim();
  throw new BuildError(`esbuild cannot bundle ${Object.values(entries).join(', ')}\n${text}`);
}

/** In one step, so that a process that starts meanwhile reads either the old file or the new one. */
function replaceFile(file, contents, mode) {
  const scratch = `${file}.${process.pid}`;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(scratch, contents);
  chmodSync(scratch, mode);
  renameSync(scratch, file);
}

// --- types

function typesOutputs(root) {
  return existsSync(join(root, 'src', 'index.ts')) ? ['dist/types/index.d.ts'] : [];
}

function emitTypes(root) {
  if (typesOutputs(root).length === 0) return;
  rmSync(join(root, 'dist', 'types'), { recursive: true, force: true });
  const tsc = join('node_modules', '@typescript', 'native', 'bin', 'tsc');
  runTool(root, process.execPath, [tsc, '-p', 'tsconfig.types.json']);
}

// --- command line

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const stages = process.argv.length > 2 ? process.argv.slice(2) : STAGE_NAMES;
  try {
    const started = performance.now();
    const built = await build({ root, stages });
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.error(built.length === 0 ? 'build: up to date' : `build: ${built.join(', ')} in ${seconds} s`);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`build: ${error.message}`);
    process.exit(1);
  }
}
