import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PolicyError, UsageError } from '../../src/core/errors.ts';
import { findMock, formatMock, listMocks, loadMock, parseMock, writeMock } from '../../src/sysfs/mock-file.ts';
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

describe('a description', () => {
  it('gives many files in a line', () => {
    const { files } = parseMock(`${HEADER}cpu{0-1,4}/x\tn={n} up={n+64} down={n-1}\n`, 'box.tsv');
    expect([...files]).toEqual([
      ['cpu0/x', 'n=0 up=64 down=-1'],
      ['cpu1/x', 'n=1 up=65 down=0'],
      ['cpu4/x', 'n=4 up=68 down=3'],
    ]);
  });

  it('gives each file once, and numbers only in braces', () => {
    const lines =
      'cpu{0-3}/x\t1\ncpu{3}/x\t2\ncpu{all}/x\t1\ncpu{3-1}/x\t1\ncpu{0-99999}/x\t1\ncpu{09007199254740993,2-3}/x\t1\n';
    expect(problemsOf(`${HEADER}${lines}`)).toEqual([
      'box.tsv:5:1: cpu3/x again, expected each file once',
      'box.tsv:6:1: cpu{all}/x, expected numbers such as {0-3,8} in braces',
      'box.tsv:7:1: {3-1}, expected ascending ranges of at most 4096 numbers',
      'box.tsv:8:1: {0-99999}, expected ascending ranges of at most 4096 numbers',
      // Where one more is the same number, counting would never end.
      'box.tsv:9:1: {09007199254740993,2-3}, expected ascending ranges of at most 4096 numbers',
    ]);
  });

  it('of a line that stands for too much text is refused before it is made', () => {
    expect(problemsOf(`${HEADER}cpu{0-4095}/x\t${'{n}'.repeat(1000)}\n`)).toEqual([
      'box.tsv:4:1: 4096 files, 12341248 characters in all, expected at most 2097152',
    ]);
  });

  it('of more files than any machine has, or of endless paths, is refused before it fills the memory', () => {
    const many = Array.from({ length: 30 }, (_, at) => `a${at}/cpu{0-4095}\t1\n`).join('');
    expect(problemsOf(`${HEADER}${many}`)).toEqual([
      'box.tsv:28:1: more than 100000 files up to here, expected one machine',
    ]);
    expect(problemsOf(`${HEADER}x${'{0-4095}'.repeat(600)}\t1\n`)).toEqual([
      'box.tsv:4:1: a path of 4801 characters, expected at most 4096',
    ]);
  });

  it('only: a recording is taken as it stands', () => {
    const { files } = parseMock(`${HEADER.replace('described', 'recorded')}cpu{0-1}\t{n}\n`, 'box.tsv');
    expect([...files]).toEqual([['cpu{0-1}', '{n}']]);
  });
});

describe('formatMock()', () => {
  it('writes what parseMock() reads', () => {
    const segment = fc.stringMatching(/^[a-z{][a-z0-9_:{}]{0,8}$/);
    const files = fc.dictionary(segment, fc.string({ unit: fc.constantFrom('a', ' ', '\n', '\t', '\\', '{n}', '#') }));
    fc.assert(
      fc.property(files, (entries) => {
        const mock = { machine: 'A box', source: 'imagined', status: 'recorded' as const };
        const parsed = parseMock(formatMock({ ...mock, files: new Map(Object.entries(entries)) }), 'box.tsv');
        expect(parsed).toMatchObject(mock);
        expect(Object.fromEntries(parsed.files)).toEqual({ ...entries });
      }),
    );
  });
});

describe('the mocks that are shipped', () => {
  it('are all well formed', () => {
    const mocks = listMocks(MOCK_DIRECTORY);
    expect(mocks.map(({ name, status }) => `${name}: ${status}`)).toEqual([
      'acpi-cpufreq-epyc-7451-2s96c: recorded',
      'acpi-cpufreq-qemu-2c: recorded',
      'amd-pstate-active-16c: described',
      'amd-pstate-qemu-2c: recorded',
      'arm-cppc-64c: described',
      'arm-cpufreq-dt-3-policies-8c: described',
      'intel-pstate-2s-128c: described',
      'intel-pstate-i7-1165g7-8c: recorded',
      'intel-pstate-passive-8c: described',
      'intel-pstate-rapl-2s-8c: described',
      'virtual-machine-4c: described',
    ]);
    for (const { files } of mocks) expect(files.has('devices/system/cpu/online')).toBe(true);
  });

  it('tell what machine they are by their files', () => {
    const driver = (name: string) => shippedMock(name).files.get('devices/system/cpu/cpufreq/policy0/scaling_driver');
    expect(driver('amd-pstate-active-16c')).toBe('amd-pstate-epp');
    expect(driver('intel-pstate-passive-8c')).toBe('intel_cpufreq');
    expect(driver('virtual-machine-4c')).toBeUndefined();
    const large = shippedMock('intel-pstate-2s-128c').files;
    expect(large.get('devices/system/cpu/cpu97/topology/thread_siblings_list')).toBe('33,97');
    expect(large.get('devices/system/cpu/cpu97/topology/core_id')).toBe('1');
    expect(large.get('devices/system/cpu/cpu97/topology/physical_package_id')).toBe('1');
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
