import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PolicyError, UsageError } from '../../src/core/errors.ts';
import { findMock, listMocks, loadMock, parseMock, writeMock } from '../../src/sysfs/mock-file.ts';
import { MOCK_DIRECTORY, shippedMock } from './shipped-mock.ts';

const HEADER = '# machine: A box\n# source: imagined\n# status: described\n';

function problemsOf(text: string): readonly string[] {
  try {
    parseMock(text, 'box.tsv');
  } catch (error) {
    if (error instanceof PolicyError) return error.message.split('\n');
    throw error;
  }
  return [];
}

describe('parseMock()', () => {
  it('takes the header, comments and escapes', () => {
    const mock = parseMock(`${HEADER}# a comment\na/b\tone\\ntwo\\tthree\\\\n\na/c\t\n`, '/somewhere/box.tsv');
    expect(mock).toMatchObject({ name: 'box', machine: 'A box', source: 'imagined', status: 'described' });
    expect([...mock.files]).toEqual([
      ['a/b', 'one\ntwo\tthree\\n'],
      ['a/c', ''],
    ]);
  });

  it('says everything that is wrong, and where', () => {
    expect(problemsOf('# status: guessed\nno tab\n/abs\t1\na/../b\t1\na\t1\na\t2\na/b\t1\n')).toEqual([
      'box.tsv:2:1: no tab in "no tab", expected a path, a tab, a text',
      'box.tsv:3:1: "/abs", expected a path below /sys',
      'box.tsv:4:1: "a/../b", expected a path below /sys',
      'box.tsv:6:1: a again, expected each file once',
      'box.tsv:1:1: no header, expected a line "# machine: …"',
      'box.tsv:1:1: no header, expected a line "# source: …"',
      'box.tsv:1:1: status "guessed", expected "recorded" or "described"',
      'box.tsv:1:1: a is a file, and a/b lies in it, expected a file or a directory',
    ]);
  });
});

describe('the mocks that are shipped', () => {
  it('are all well formed, with cpufreq policies and where they come from', () => {
    const mocks = listMocks(MOCK_DIRECTORY);
    expect(mocks.map(({ name }) => name)).toEqual([
      'acpi-cpufreq-epyc-7451-2s96c',
      'acpi-cpufreq-qemu-2c',
      'amd-pstate-qemu-2c',
      'intel-pstate-i7-1165g7-8c',
    ]);
    for (const mock of mocks) {
      expect(mock.status).toBe('recorded');
      expect(mock.files.get('devices/system/cpu/cpufreq/policy0/scaling_driver')).toBeDefined();
    }
  });

  it('are found by name only', () => {
    expect(() => findMock('nosuch', MOCK_DIRECTORY)).toThrow(UsageError);
    expect(() => findMock('../sysfs-mocks/acpi-cpufreq-qemu-2c', MOCK_DIRECTORY)).toThrow(UsageError);
    expect(() => loadMock('/nosuch.tsv')).toThrow(PolicyError);
  });
});

describe('writeMock()', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'tailgov-mock-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  it('writes every file, those read-only that the kernel lets nobody write', () => {
    const mock = shippedMock('acpi-cpufreq-qemu-2c');
    writeMock(mock, directory);
    for (const [path, text] of mock.files) expect(readFileSync(join(directory, path), 'utf8')).toBe(`${text}\n`);
    const mode = (file: string) => statSync(join(directory, 'devices/system/cpu/cpufreq/policy1', file)).mode & 0o222;
    expect(mode('scaling_driver')).toBe(0);
    expect(mode('scaling_max_freq')).not.toBe(0);
  });

  it('refuses a directory that holds something, and a file', () => {
    writeFileSync(join(directory, 'precious'), '');
    expect(() => writeMock(shippedMock('acpi-cpufreq-qemu-2c'), directory)).toThrow(UsageError);
    expect(() => writeMock(shippedMock('acpi-cpufreq-qemu-2c'), join(directory, 'precious'))).toThrow(UsageError);
  });
});
