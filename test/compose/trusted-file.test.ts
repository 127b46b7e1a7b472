import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readTrustedFile } from '../../src/compose/trusted-file.ts';

const isRoot = process.geteuid?.() === 0;
const NOBODY = 65534;

// Not under /tmp, which everybody can write.
const ROOTS_OWN = '/root';
let directory = '';
let file = '';

beforeEach(() => {
  if (!isRoot) return;
  directory = mkdtempSync(join(ROOTS_OWN, 'tailgov-trust-'));
  mkdirSync(join(directory, 'sub'), { mode: 0o755 });
  file = join(directory, 'sub', 'law.mjs');
  writeFileSync(file, 'export const x = 1;', { mode: 0o644 });
});
afterEach(() => {
  if (directory !== '') rmSync(directory, { recursive: true, force: true });
  directory = '';
});

describe.runIf(isRoot)('readTrustedFile() as root', () => {
  const read = (path: string) => readTrustedFile(path, true);

  it('reads a file that only root can change', () => {
    expect(read(file)).toBe('export const x = 1;');
    expect(read(join(directory, 'sub', '..', '.', 'sub', 'law.mjs'))).toBe('export const x = 1;');
  });

  it('refuses a file, or any directory above it, that others can write', () => {
    chmodSync(file, 0o664);
    expect(() => read(file)).toThrow(`${file} can be written by others than root (mode 664), expected it without go+w`);
    chmodSync(file, 0o644);
    chmodSync(join(directory, 'sub'), 0o757);
    expect(() => read(file)).toThrow(`${directory}/sub can be written`);
    chmodSync(join(directory, 'sub'), 0o755);
    chmodSync(directory, 0o1777);
    expect(() => read(file)).toThrow(`${directory} can be written`);
  });

  it('refuses a file, or any directory above it, that is not root’s', () => {
    chownSync(file, NOBODY, NOBODY);
    expect(() => read(file)).toThrow(`${file} belongs to user ${NOBODY}, and must belong to root`);
    chownSync(file, 0, 0);
    chownSync(directory, NOBODY, 0);
    expect(() => read(file)).toThrow(`${directory} belongs to user`);
  });

  it('follows links through directories that are root’s, and through no others', () => {
    const link = join(directory, 'link.mjs');
    symlinkSync('sub/law.mjs', link);
    expect(read(link)).toBe('export const x = 1;');
    mkdirSync(join(directory, 'open'));
    chmodSync(join(directory, 'open'), 0o777);
    symlinkSync(file, join(directory, 'open', 'law.mjs'));
    expect(() => read(join(directory, 'open', 'law.mjs'))).toThrow(`${directory}/open can be written`);
    symlinkSync('open', join(directory, 'detour'));
    expect(() => read(join(directory, 'detour', 'law.mjs'))).toThrow(`${directory}/open can be written`);
  });

  it('gives up on links that go in a circle', () => {
    symlinkSync('b', join(directory, 'a'));
    symlinkSync('a', join(directory, 'b'));
    expect(() => read(join(directory, 'a'))).toThrow('more than 40 links');
  });

  it('refuses what is no regular file, without waiting for it', () => {
    expect(() => read(join(directory, 'sub'))).toThrow('is not a regular file');
    spawnSync('mkfifo', [join(directory, 'fifo')]);
    expect(() => read(join(directory, 'fifo'))).toThrow('is not a regular file');
    expect(() => read(join(directory, 'absent'))).toThrow('ENOENT');
  });

  it('refuses a file that is too large', () => {
    writeFileSync(file, ' '.repeat(1024 * 1024 + 1));
    expect(() => read(file)).toThrow('it has 1048577 bytes, expected at most 1048576');
  });

  it('reads anything where no trust is asked for', () => {
    chmodSync(file, 0o666);
    expect(readTrustedFile(file, false)).toBe('export const x = 1;');
  });
});

describe('readTrustedFile() as anybody', () => {
  it('reads a file through links where no trust is asked for', () => {
    expect(readTrustedFile('package.json', false)).toContain('tailgov');
  });
});
