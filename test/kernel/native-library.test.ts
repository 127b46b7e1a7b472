import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const MODULE = new URL('../../src/native/libbpf.ts', import.meta.url);
const ASK = `
  const { libbpfVersion, NativeError } = await import('${MODULE.href}');
  try {
    console.log(libbpfVersion());
  } catch (error) {
    console.log(error instanceof NativeError, error.operation, error.message);
  }`;

const directory = mkdtempSync(join(tmpdir(), 'native-library-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** What a process says that finds its libbpf.so.1 in the directory first. */
function askWith(libraryPath: string): string {
  const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', ASK], {
    encoding: 'utf8',
    env: { ...process.env, LD_LIBRARY_PATH: libraryPath },
  });
  expect(stderr).toBe('');
  return stdout.trim();
}

describe('libbpf.so.1', () => {
  it('is found where the system keeps it', () => {
    expect(askWith('')).toMatch(/^v1\.\d+$/);
  });

  it('is asked for by name when it cannot be loaded', () => {
    writeFileSync(join(directory, 'libbpf.so.1'), 'no library');
    const said = askWith(directory);
    expect(said).toMatch(/^true load libbpf\.so\.1 load libbpf\.so\.1: ENOENT/);
    expect(said).toMatch(/apt-get install libbpf1$/);
  });

  it('is refused in another version', () => {
    const source = join(directory, 'fake.c');
    writeFileSync(source, 'unsigned int libbpf_major_version(void) { return 2; }');
    execFileSync('clang', ['-shared', '-fPIC', '-o', join(directory, 'libbpf.so.1'), source]);
    const message = 'load libbpf.so.1: ENOSYS (function not implemented): found libbpf 2, expected 1';
    expect(askWith(directory)).toBe(`true load libbpf.so.1 ${message}`);
  });
});
