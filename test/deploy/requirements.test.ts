import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { missingRequirements, REQUIREMENTS } from '../../deploy/requirements.mjs';

let directory: string;
const packagesMissing = () => missingRequirements('build').map((requirement) => requirement.package);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tailgov-path-'));
  vi.stubEnv('PATH', directory);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true });
});

describe('missingRequirements()', () => {
  it('finds a command on the PATH', () => {
    expect(packagesMissing()).toContain('clang');
    writeFileSync(join(directory, 'clang'), '', { mode: 0o755 });
    expect(packagesMissing()).not.toContain('clang');
  });

  it('takes no file that cannot be executed for a command', () => {
    const file = join(directory, 'clang');
    writeFileSync(file, '');
    chmodSync(file, 0o644);
    expect(packagesMissing()).toContain('clang');
  });
});

describe('REQUIREMENTS', () => {
  it('says of each how it is recognised and what it is for', () => {
    const all = Object.values(REQUIREMENTS).flat();
    expect(all.filter(({ command, anyFile }) => command === undefined && anyFile === undefined)).toEqual([]);
    expect(all.filter((requirement) => requirement.for === '')).toEqual([]);
    expect(new Set(all.map((requirement) => requirement.package)).size).toBe(all.length);
  });
});
