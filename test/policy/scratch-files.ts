import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { PolicyError } from '../../src/core/errors.ts';

/** A directory of a test file's own, removed after it. */
export function scratchFiles() {
  const directory = mkdtempSync(join(tmpdir(), 'tailgov-policy-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  return {
    directory,
    /** @returns the file's path */
    write(name: string, text: string | Uint8Array): string {
      const file = join(directory, name);
      writeFileSync(file, text);
      return file;
    },
  };
}

/** The problems of a call that must fail with a PolicyError: `LINE:COLUMN: message`. */
export function problemsOf(call: () => unknown): string[] {
  try {
    call();
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return error.problems.map(({ line, column, message }) => `${line}:${column}: ${message}`);
  }
  throw new Error('no PolicyError was thrown');
}
