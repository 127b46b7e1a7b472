import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readBootId } from '../../src/actuator/boot-id.ts';
import { Journal, readJournal, type ControlRecord, type JournalHeader } from '../../src/actuator/journal.ts';
import { restoreFromJournal } from '../../src/actuator/restore.ts';
import { identityOf, isRunning } from '../../src/actuator/process-identity.ts';
import { ActuatorError } from '../../src/core/errors.ts';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';

const POLICY0 = 'devices/system/cpu/cpufreq/policy0';
const RECORDS: readonly ControlRecord[] = [
  { control: `${POLICY0}/scaling_max_freq`, original: '3200000', order: 1 },
  { control: `${POLICY0}/scaling_governor`, original: 'schedutil', order: 2 },
];

const headerOf = (pid: number): JournalHeader => {
  return { version: 1, bootId: readBootId(), ...identityOf(pid)!, sysfsRoot: '/nosuch' };
};
const codeOf = (action: () => unknown) => {
  try {
    action();
  } catch (error) {
    if (error instanceof ActuatorError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'no error';
};

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tailgov-journal-'));
  path = join(directory, 'run', 'journal');
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('Journal', () => {
  it('is written whole into a directory and a file of its owner alone', () => {
    const header = headerOf(process.pid);
    Journal.create(path, header, RECORDS);
    expect(readJournal(path)).toEqual({ header, records: RECORDS, damagedLines: [] });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, 'run')).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(directory, 'run'))).toEqual(['journal']);
  });

  it('grows at its end', () => {
    const journal = Journal.create(path, headerOf(process.pid), RECORDS.slice(0, 1));
    journal.append(RECORDS.slice(1));
    expect(readJournal(path)?.records).toEqual(RECORDS);
  });

  it('leaves out what is over, and grows on', () => {
    const header = headerOf(process.pid);
    const journal = Journal.create(path, header, RECORDS);
    journal.shorten(({ original }) => original === 'schedutil');
    expect(readJournal(path)).toEqual({ header, records: RECORDS.slice(0, 1), damagedLines: [] });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    journal.append(RECORDS.slice(1));
    expect(readJournal(path)?.records).toEqual(RECORDS);
    expect(readdirSync(join(directory, 'run'))).toEqual(['journal']);
  });

  it('is not shortened where a line of it is damaged', () => {
    const journal = Journal.create(path, headerOf(process.pid), RECORDS);
    const text = readFileSync(path, 'utf8').replace('schedutil"', 'schedutil');
    writeFileSync(path, text);
    journal.shorten(() => true);
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('is as it was where it cannot be shortened', () => {
    const journal = Journal.create(path, headerOf(process.pid), RECORDS);
    const nobodyKnows = () => {
      throw new Error('EIO');
    };
    expect(codeOf(() => journal.shorten(nobodyKnows))).toBe(`journal-failed: shorten the journal ${path}: EIO`);
    expect(readJournal(path)?.records).toEqual(RECORDS);
    expect(readdirSync(join(directory, 'run'))).toEqual(['journal']);
  });

  it('is gone when it is removed, and can be removed twice', () => {
    const journal = Journal.create(path, headerOf(process.pid), RECORDS);
    journal.remove();
    journal.remove();
    expect(readJournal(path)).toBeNull();
  });

  it('refuses one whose owner runs, and names it', async () => {
    const other = spawn('sleep', ['60']);
    try {
      Journal.create(path, headerOf(other.pid!), RECORDS);
      const create = () => Journal.create(path, headerOf(process.pid), []);
      expect(codeOf(create)).toMatch(new RegExp(`^already-governed: .*process ${other.pid} governs`));
      expect(codeOf(() => restoreFromJournal({ journalPath: path }))).toMatch(/^already-governed/);
      expect(readJournal(path)?.records).toEqual(RECORDS);
    } finally {
      other.kill('SIGKILL');
      await new Promise((resolve) => other.on('exit', resolve));
    }
    Journal.create(path, headerOf(process.pid), []);
    expect(readJournal(path)).toMatchObject({ header: { pid: process.pid }, records: [] });
  });

  it('replaces one whose owner’s number another process has now', () => {
    const header = headerOf(process.ppid);
    Journal.create(path, { ...header, startTicks: header.startTicks + 1 }, RECORDS);
    Journal.create(path, headerOf(process.pid), []);
    expect(readJournal(path)?.header.pid).toBe(process.pid);
  });

  it('says what is in the way when it cannot be written or read', () => {
    writeFileSync(join(directory, 'run'), '');
    expect(codeOf(() => Journal.create(path, headerOf(process.pid), []))).toMatch(/^journal-failed: .*journal/);
    const folder = join(directory, 'folder');
    mkdirSync(folder);
    expect(codeOf(() => readJournal(folder))).toMatch(/^journal-failed: read the journal .*it is not a regular file/);
    const foreign = join(directory, 'foreign');
    writeFileSync(foreign, 'hello\n');
    expect(codeOf(() => readJournal(foreign))).toMatch(/^journal-failed: .*line 1 is no journal header/);
  });

  it('leaves out damaged lines and says which', () => {
    Journal.create(path, headerOf(process.pid), RECORDS);
    writeFileSync(path, readFileSync(path, 'utf8').replace('"order":1', '"order":"one"'));
    expect(readJournal(path)).toMatchObject({ records: RECORDS.slice(1), damagedLines: [2] });
  });

  it('cut at any byte, restores what it still holds', () => {
    Journal.create(path, headerOf(process.pid), RECORDS);
    const whole = readFileSync(path);
    for (let length = 0; length <= whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      const tree = new MemoryTree(shippedMock('acpi-cpufreq-qemu-2c'));
      tree.write(`${POLICY0}/scaling_max_freq`, '1200000');
      const lines = whole.subarray(0, length).toString().split('\n').length - 1;
      const held = RECORDS.slice(0, Math.max(0, lines - 1));
      const restored = restoreFromJournal({ journalPath: path, tree });
      expect(restored).toEqual(held.map(({ control }) => ({ control, outcome: 'restored' })));
      for (const { control, original } of held) expect(tree.read(control)).toEqual({ ok: true, value: original });
      expect(readJournal(path)).toBeNull();
    }
  });
});

describe('identityOf()', () => {
  it('knows this process, and none that cannot be', () => {
    const self = identityOf(process.pid);
    expect(self).toMatchObject({ pid: process.pid });
    expect(isRunning(self!)).toBe(true);
    expect(isRunning({ ...self!, startTicks: self!.startTicks - 1 })).toBe(false);
    expect(identityOf(2 ** 22 + 1)).toBeNull();
  });
});
