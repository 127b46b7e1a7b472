import { chmodSync, chownSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeOwnDirectory } from '../../src/daemon/own-directory.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-own-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('makeOwnDirectory()', () => {
  it('makes it for its owner to write, and takes it again', () => {
    const path = join(folder, 'run', 'tailgov');
    makeOwnDirectory(path);
    makeOwnDirectory(path);
    expect(statSync(path).mode & 0o022).toBe(0);
  });

  it.each([0o777, 0o1777, 0o770])('refuses one that others can write (%i)', (mode) => {
    chmodSync(folder, mode);
    expect(() => makeOwnDirectory(folder)).toThrow(
      /others can write the runtime directory .*expected it without go\+w/,
    );
  });

  it.runIf(process.geteuid?.() === 0)('refuses one of another user', () => {
    chownSync(folder, 65534, 65534);
    expect(() => makeOwnDirectory(folder)).toThrow(/belongs to user 65534/);
  });
});
