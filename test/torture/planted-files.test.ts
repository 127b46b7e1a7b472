import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readBootId } from '../../src/actuator/boot-id.ts';
import { restoreFromJournal } from '../../src/actuator/restore.ts';
import { PolicyError } from '../../src/core/errors.ts';
import { readText } from '../../src/policy/yaml-file.ts';
import { figure, tries } from './tries.ts';

const NOBODY = 65534;
const isRoot = process.geteuid?.() === 0;

let folder: string;
let journalPath: string;
let victim: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-planted-'));
  journalPath = join(folder, 'journal');
  victim = join(folder, 'victim');
  writeFileSync(victim, 'untouched');
  const header = { version: 1, bootId: readBootId(), pid: 1, startTicks: 0, sysfsRoot: folder };
  const record = { control: 'victim', original: 'taken over', order: 1 };
  writeFileSync(journalPath, `${JSON.stringify(header)}\n${JSON.stringify(record)}\n`);
});
afterEach(() => rmSync(folder, { recursive: true }));

const restoring = () => restoreFromJournal({ journalPath });

describe('a journal that somebody else has put there', () => {
  it.runIf(isRoot)('is not followed when it belongs to another user', () => {
    chownSync(journalPath, NOBODY, NOBODY);
    expect(restoring).toThrow(/belongs to user 65534/);
    expect(readText(victim)).toBe('untouched');
  });

  it.each([0o666, 0o660, 0o622])('is not followed when others can write it (%i)', (mode) => {
    chmodSync(journalPath, mode);
    expect(restoring).toThrow(/others can write it/);
    expect(readText(victim)).toBe('untouched');
  });

  it('is not followed through a link, and no pipe is waited for', () => {
    const link = join(folder, 'link');
    symlinkSync(journalPath, link);
    expect(() => restoreFromJournal({ journalPath: link })).toThrow(/ELOOP/);
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    expect(() => restoreFromJournal({ journalPath: pipe })).toThrow(/not a regular file/);
  });
});

/** Exchanges a file for others, over and over, as fast as it can: `path` is one of `path.0`, `path.1`, ... at any time. */
const EXCHANGER = `const { linkSync, renameSync } = require('node:fs');
const [path, count] = process.argv.slice(1);
process.stdout.write('began');
for (let at = 0; ; at++) {
  linkSync(path + '.' + (at % Number(count)), path + '.next');
  renameSync(path + '.next', path);
}`;

/** @param others what the path may be besides the file that is sound */
async function amidExchanges(path: string, others: readonly (() => void)[], act: () => void): Promise<void> {
  others.forEach((make) => make());
  const child = spawn(process.execPath, ['-e', EXCHANGER, path, `${others.length}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(child.stdout, 'data');
    act();
    expect(child.exitCode).toBeNull();
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

describe('a file that is exchanged while it is looked at', () => {
  it.runIf(isRoot)('is read as what was checked, never as another', { timeout: 120_000 }, async () => {
    const path = join(folder, 'config');
    const planted = (suffix: string, mode: number) => () => {
      writeFileSync(`${path}.${suffix}`, mode === 0o644 ? 'sound' : 'planted');
      chmodSync(`${path}.${suffix}`, mode);
    };
    const pipe = () => void execFileSync('mkfifo', [`${path}.2`]);
    const seen: Record<string, number> = {};
    await amidExchanges(path, [planted('0', 0o644), planted('1', 0o646), pipe], () => {
      for (let at = 0; at < tries(2_000, 500_000); at++) {
        let outcome: string;
        try {
          outcome = readText(path);
        } catch (error) {
          if (!(error instanceof PolicyError)) throw error;
          outcome = /everybody|regular|no such file/.exec(error.message)?.[0] ?? error.message;
        }
        seen[outcome] = (seen[outcome] ?? 0) + 1;
      }
    });
    expect(
      Object.keys(seen).filter((outcome) => !['sound', 'everybody', 'regular', 'no such file'].includes(outcome)),
    ).toEqual([]);
    figure('a config is exchanged while it is read', seen);
  });
});

describe('a config or a policy', () => {
  it.runIf(isRoot)('that everybody can write is nothing for root to follow', () => {
    chmodSync(victim, 0o646);
    expect(() => readText(victim)).toThrow(/everybody can write it \(mode 646\), expected it without o\+w/);
  });

  it('that is a pipe is not waited for', () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    expect(() => readText(pipe)).toThrow(/not a regular file/);
  });
});
