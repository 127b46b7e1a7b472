import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readBootId } from '../../src/actuator/boot-id.ts';
import { restoreFromJournal } from '../../src/actuator/restore.ts';
import { readText } from '../../src/policy/yaml-file.ts';

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
