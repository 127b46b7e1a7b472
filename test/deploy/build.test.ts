import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { build, isUpToDate } from '../../deploy/build.mjs';

/** A command that says who it is from its main thread and from a worker made of itself. */
const MAIN = `
  import { isMainThread, parentPort, Worker } from 'node:worker_threads';
  import { name } from './name.ts';
  if (isMainThread) new Worker(new URL(import.meta.url)).on('message', (message) => console.log(name, message));
  else parentPort?.postMessage('and its worker');
`;

let root: string;
const write = (file: string, text: string) => writeFileSync(join(root, file), text);
const bundle = () => build({ root, stages: ['bundle'] });

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tailgov-build-'));
  mkdirSync(join(root, 'src', 'cli'), { recursive: true });
  write('package.json', '{ "type": "module" }');
  write('src/cli/main.ts', MAIN);
  write('src/cli/name.ts', "export const name: string = 'first';");
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true });
});

describe('build()', () => {
  it('makes a command that runs by itself, and as the entry of a worker', async () => {
    expect(await bundle()).toEqual(['bundle']);
    const command = join(root, 'dist', 'cli.js');
    expect(statSync(command).mode & 0o777).toBe(0o755);
    expect(execFileSync(command, { encoding: 'utf8' })).toBe('first and its worker\n');
  });

  it('keeps apart what is loaded only when it is needed, and forgets what it made before', async () => {
    write('src/cli/main.ts', "if (process.argv.length > 2) console.log((await import('./name.ts')).name);");
    await bundle();
    const parts = () => readdirSync(join(root, 'dist')).filter((name) => name.startsWith('name-'));
    const [part] = parts();
    expect(readFileSync(join(root, 'dist', 'cli.js'), 'utf8')).not.toContain('first');
    expect(execFileSync(join(root, 'dist', 'cli.js'), ['now'], { encoding: 'utf8' })).toBe('first\n');
    write('src/cli/name.ts', "export const name = 'second';");
    await bundle();
    expect(parts()).toHaveLength(1);
    expect(parts()).not.toEqual([part]);
    rmSync(join(root, 'dist', parts()[0]!));
    expect(isUpToDate(root, 'bundle')).toBe(false);
  });

  it('puts what the program reads at run time beside it', async () => {
    mkdirSync(join(root, 'src', 'study', 'assets'), { recursive: true });
    write('src/study/assets/page.css', 'body { margin: 0 }');
    await bundle();
    expect(readFileSync(join(root, 'dist', 'assets', 'page.css'), 'utf8')).toBe('body { margin: 0 }');
    expect(readFileSync(join(root, 'dist', 'assets', 'uPlot.iife.min.js'), 'utf8')).toContain('var uPlot');
    rmSync(join(root, 'dist', 'assets', 'page.css'));
    expect(isUpToDate(root, 'bundle')).toBe(false);
  });

  it('has nothing to do when nothing changed', async () => {
    await bundle();
    expect(isUpToDate(root, 'bundle')).toBe(true);
    expect(await bundle()).toEqual([]);
  });

  it.each([
    ['a source changed', () => write('src/cli/name.ts', "export const name = 'second';")],
    ['a source was added', () => write('src/cli/other.ts', 'export {};')],
    ['the lockfile changed', () => write('package-lock.json', '{}')],
    ['an output is gone', () => rmSync(join(root, 'dist', 'cli.js'))],
  ])('works again when %s', async (_what, change) => {
    await bundle();
    change();
    expect(isUpToDate(root, 'bundle')).toBe(false);
    expect(await bundle()).toEqual(['bundle']);
    expect(isUpToDate(root, 'bundle')).toBe(true);
  });

  it('leaves the command that is there when a source is broken, and tries again next time', async () => {
    await bundle();
    const before = readFileSync(join(root, 'dist', 'cli.js'), 'utf8');
    write('src/cli/name.ts', "export const name = 'third'; export const missing = ");
    await expect(bundle()).rejects.toThrow(
      /^esbuild cannot bundle src\/cli\/main.ts\n.*Unexpected end of file\s+src\/cli\/name.ts:1:/s,
    );
    expect(readFileSync(join(root, 'dist', 'cli.js'), 'utf8')).toBe(before);
    expect(isUpToDate(root, 'bundle')).toBe(false);
  });

  it('says what to install when there is no compiler', async () => {
    mkdirSync(join(root, 'bpf'));
    write('bpf/turns.bpf.c', '');
    vi.stubEnv('PATH', join(root, 'empty'));
    await expect(build({ root, stages: ['bpf'] })).rejects.toThrow(/^clang is not installed.*apt-get install/);
    expect(isUpToDate(root, 'bpf')).toBe(false);
  });

  it('refuses a stage that it does not know', async () => {
    await expect(build({ root, stages: ['nothing'] })).rejects.toThrow('no stage nothing: expected bpf, bundle, types');
  });
});
