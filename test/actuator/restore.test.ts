import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readBootId } from '../../src/actuator/boot-id.ts';
import { Journal, type ControlRecord } from '../../src/actuator/journal.ts';
import { identityOf } from '../../src/actuator/process-identity.ts';
import { restoreControls, restoreFromJournal } from '../../src/actuator/restore.ts';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { realTree } from '../../src/sysfs/real-tree.ts';
import { mockDirectory } from '../sysfs/mock-directory.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';

const POLICY0 = 'devices/system/cpu/cpufreq/policy0';
const MAX = `${POLICY0}/scaling_max_freq`;
const MIN = `${POLICY0}/scaling_min_freq`;
const GOVERNOR = `${POLICY0}/scaling_governor`;

const record = (control: string, original: string, order = 1): ControlRecord => ({ control, original, order });
const guest = () => new MemoryTree(shippedMock('acpi-cpufreq-qemu-2c'));
const value = (tree: MemoryTree, path: string) => {
  const result = tree.read(path);
  return result.ok ? result.value : result.errno;
};

describe('restoreControls()', () => {
  it('goes by the order, and tells what was so already', () => {
    const tree = guest();
    tree.write(MAX, '2000000');
    expect(restoreControls(tree, [record(GOVERNOR, 'performance', 2), record(MAX, '3200000', 1)])).toEqual([
      { control: MAX, outcome: 'restored' },
      { control: GOVERNOR, outcome: 'already' },
    ]);
  });

  it('goes on after a failure, and can be repeated', () => {
    const tree = guest();
    tree.write(MAX, '2000000');
    tree.write(GOVERNOR, 'powersave');
    tree.fail(MAX, 'write', 'EIO', 1);
    const records = [record(MAX, '3200000'), record(GOVERNOR, 'performance', 2), record(`${POLICY0}/nosuch`, '1', 3)];
    expect(restoreControls(tree, records)).toEqual([
      { control: MAX, outcome: 'failed', detail: 'write 3200000: EIO' },
      { control: GOVERNOR, outcome: 'restored' },
      { control: `${POLICY0}/nosuch`, outcome: 'gone', detail: 'write 1: ENOENT' },
    ]);
    expect(restoreControls(tree, records).map(({ outcome }) => outcome)).toEqual(['restored', 'already', 'gone']);
  });

  it('replaces a hidden request although the original shows already', () => {
    const tree = guest();
    tree.write(MIN, '2800000');
    tree.write(MAX, '2000000');
    restoreControls(tree, [record(MAX, '2000000', 1), record(MIN, '2000000', 2)]);
    tree.write(MAX, '3200000');
    expect(value(tree, MIN)).toBe('2000000');
  });

  it('takes the first original of a control for the true one', () => {
    const tree = guest();
    restoreControls(tree, [record(MAX, '2800000'), record(MAX, '1200000')]);
    expect(value(tree, MAX)).toBe('2800000');
  });

  it('never lets a minimum exceed its maximum on the way, and arrives from any range at any other', () => {
    const step = fc.constantFrom(1_200_000, 1_600_000, 2_000_000, 2_400_000, 2_800_000, 3_200_000);
    const range = fc.tuple(step, step).map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }));
    const mock = mockDirectory(shippedMock('acpi-cpufreq-qemu-2c'));
    // A tree without the kernel behind it: what is written stands.
    const tree = realTree(mock.sysfs);
    const khz = (path: string) => {
      const result = tree.read(path);
      return result.ok ? Number(result.value) : NaN;
    };
    try {
      fc.assert(
        fc.property(range, range, (now, original) => {
          tree.write(MIN, String(now.min));
          tree.write(MAX, String(now.max));
          const watching = {
            ...tree,
            write: (path: string, text: string) => {
              const result = tree.write(path, text);
              expect(khz(MIN)).toBeLessThanOrEqual(khz(MAX));
              return result;
            },
          };
          restoreControls(watching, [record(MAX, String(original.max), 1), record(MIN, String(original.min), 2)]);
          expect([khz(MIN), khz(MAX)]).toEqual([original.min, original.max]);
        }),
      );
    } finally {
      tree.close();
      mock.remove();
    }
  });
});

describe('restoreFromJournal()', () => {
  let directory: string;
  let journalPath: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tailgov-restore-'));
    journalPath = join(directory, 'journal');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const journal = (records: readonly ControlRecord[], sysfsRoot = '/nosuch', bootId = readBootId()) =>
    Journal.create(journalPath, { version: 1, bootId, ...identityOf(process.pid)!, sysfsRoot }, records);

  it('has nothing to do without a journal', () => {
    expect(restoreFromJournal({ journalPath })).toEqual([]);
    expect(restoreFromJournal({ journalPath: join(directory, 'nosuch', 'journal') })).toEqual([]);
  });

  it('keeps the journal until everything is restored', () => {
    const tree = guest();
    tree.write(MAX, '2000000');
    tree.fail(MAX, 'write', 'EBUSY', 1);
    journal([record(MAX, '3200000')]);
    expect(restoreFromJournal({ journalPath, tree })).toMatchObject([{ outcome: 'failed' }]);
    expect(existsSync(journalPath)).toBe(true);
    expect(restoreFromJournal({ journalPath, tree })).toMatchObject([{ outcome: 'restored' }]);
    expect(existsSync(journalPath)).toBe(false);
  });

  it('leaves the journal to who comes afterwards, where it is told to', () => {
    const tree = guest();
    tree.write(MAX, '2000000');
    journal([record(MAX, '3200000')]);
    expect(restoreFromJournal({ journalPath, tree, keepJournal: true })).toMatchObject([{ outcome: 'restored' }]);
    // Who governed was slow, and not gone.
    tree.write(MAX, '1600000');
    expect(restoreFromJournal({ journalPath, tree })).toMatchObject([{ outcome: 'restored' }]);
    expect(value(tree, MAX)).toBe('3200000');
    expect(existsSync(journalPath)).toBe(false);
  });

  it('writes nothing after a boot: the kernel has forgotten', () => {
    const tree = guest();
    tree.write(MAX, '2000000');
    journal([record(MAX, '3200000')], tree.root, 'an earlier boot');
    expect(restoreFromJournal({ journalPath, tree })).toEqual([
      { control: MAX, outcome: 'gone', detail: 'the machine was booted since: the kernel began with its own settings' },
    ]);
    expect(value(tree, MAX)).toBe('2000000');
    expect(existsSync(journalPath)).toBe(false);
  });

  it('finds the tree that the journal names', () => {
    const mock = mockDirectory(shippedMock('acpi-cpufreq-qemu-2c'));
    const tree = realTree(mock.sysfs);
    tree.write(MAX, '2000000');
    journal([record(MAX, '3200000')], mock.sysfs);
    expect(restoreFromJournal({ journalPath })).toEqual([{ control: MAX, outcome: 'restored' }]);
    expect(tree.read(MAX)).toEqual({ ok: true, value: '3200000' });
    tree.close();
    mock.remove();
  });
});
