import * as fs from 'node:fs';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readJournal } from '../../src/actuator/journal.ts';
import { restoreFromJournal } from '../../src/actuator/restore.ts';
import { ActuatorError } from '../../src/core/errors.ts';
import { ActuatorBench, CPU, observed, point } from '../actuator/actuator-bench.ts';
import { controlsOf, operatedMachine } from './governed-machines.ts';
import { figure, SHARE } from './tries.ts';

/** What the disk does: bytes that it takes still, and a call that it refuses. */
const disk = vi.hoisted(() => ({ freeBytes: Infinity, failing: '', errno: 'EIO', calls: 0 }));

vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>();
  const failure = (code: string) => Object.assign(new Error(`${code}: the disk says so`), { code });
  const refusing =
    <Args extends unknown[], Result>(name: string, call: (...args: Args) => Result) =>
    (...args: Args): Result => {
      if (disk.failing !== name) return call(...args);
      disk.calls += 1;
      throw failure(disk.errno);
    };
  return {
    ...real,
    fsyncSync: refusing('fsyncSync', real.fsyncSync),
    linkSync: refusing('linkSync', real.linkSync),
    renameSync: refusing('renameSync', real.renameSync),
    writeSync: (descriptor: number, bytes: Buffer | string, offset = 0) => {
      if (disk.freeBytes === Infinity || typeof bytes === 'string')
        return real.writeSync(descriptor, bytes as Buffer, offset);
      if (disk.freeBytes <= 0) throw failure('ENOSPC');
      const taken = real.writeSync(descriptor, bytes, offset, Math.min(disk.freeBytes, bytes.length - offset));
      disk.freeBytes -= taken;
      return taken;
    },
  };
});

const MACHINE = 'acpi-cpufreq-qemu-2c';
const STRIDE = SHARE > 0 ? 1 : 37;

let bench: ActuatorBench;
beforeEach(() => {
  bench = new ActuatorBench();
});
afterEach(() => {
  Object.assign(disk, { freeBytes: Infinity, failing: '', calls: 0 });
  bench.remove();
});

/** A machine at its lowest speed whose daemon has died, and its journal. */
function abandoned() {
  const tree = operatedMachine(MACHINE);
  const before = controlsOf(tree);
  const actuator = bench.actuator(tree);
  actuator.engage();
  const journal = readFileSync(bench.journalPath, 'utf8');
  return { tree, before, journal, actuator };
}

const refusalOf = (act: () => unknown) => {
  try {
    act();
  } catch (error) {
    if (error instanceof ActuatorError) return error.code;
    throw error;
  }
  return null;
};

describe('a journal that is cut', () => {
  it('at any byte is no reason not to start, and what is whole in it is put back', { timeout: 300_000 }, () => {
    const { journal } = abandoned();
    let cuts = 0;
    for (let length = 0; length <= journal.length; length += STRIDE, cuts++) {
      const tree = operatedMachine(MACHINE);
      const before = controlsOf(tree);
      writeFileSync(bench.journalPath, journal.slice(0, length));
      const whole = readJournal(bench.journalPath)?.records ?? [];
      for (const { control } of whole) tree.write(control, control.endsWith('governor') ? 'performance' : '1200000');
      const actuator = bench.actuator(tree);
      actuator.engage();
      expect(readJournal(bench.journalPath)?.damagedLines, `cut at ${length}`).toEqual([]);
      actuator.release('original');
      expect(controlsOf(tree), `cut at ${length}`).toEqual(before);
      expect(existsSync(bench.journalPath)).toBe(false);

      writeFileSync(bench.journalPath, journal.slice(0, length));
      for (const { control } of whole) tree.write(control, control.endsWith('governor') ? 'performance' : '1200000');
      restoreFromJournal({ journalPath: bench.journalPath, tree });
      expect(controlsOf(tree), `cut at ${length}, by restore`).toEqual(before);
      expect(existsSync(bench.journalPath)).toBe(false);
    }
    figure('journal cut at every byte', { cuts });
  });

  it('and left beside its place by a start that was killed is in nobody’s way', () => {
    const { journal, actuator } = abandoned();
    actuator.release('original');
    writeFileSync(`${bench.journalPath}.${process.pid}.tmp`, journal.slice(0, 40));
    const next = bench.actuator(operatedMachine(MACHINE));
    next.engage();
    expect(readFileSync(bench.journalPath, 'utf8')).toBe(journal);
  });
});

describe('a disk that is full', () => {
  it('after any byte of the journal lets nothing be written, and leaves no half of it', { timeout: 300_000 }, () => {
    const { journal, actuator } = abandoned();
    actuator.release('original');
    let tried = 0;
    for (let free = 0; free < journal.length; free += STRIDE, tried++) {
      const base = operatedMachine(MACHINE);
      const writes: string[] = [];
      const next = bench.actuator(observed(base, (path) => writes.push(path)));
      disk.freeBytes = free;
      expect(
        refusalOf(() => next.engage()),
        `full after ${free}`,
      ).toBe('journal-failed');
      disk.freeBytes = Infinity;
      expect(writes).toEqual([]);
      expect(fs.readdirSync(bench.directory)).toEqual([]);
    }
    figure('disk full while the journal is written', { tried });
  });

  it('when a CPU comes leaves that one alone, and forgets nothing once there is room', { timeout: 300_000 }, () => {
    let tried = 0;
    for (let free = 0; ; free += STRIDE, tried++) {
      const machine = operatedMachine(MACHINE);
      const plug = (online: '0' | '1') => {
        machine.write(`${CPU}/cpu1/online`, online);
        bench.nowMs += 2_000;
        return actuator.apply(point({ policy0: 1_200_000, policy1: 1_200_000 }));
      };
      const before = controlsOf(machine).filter((control) => control.startsWith('policy1'));
      machine.write(`${CPU}/cpu1/online`, '0');
      const actuator = bench.actuator(machine);
      actuator.engage();
      const wholeBytes = readFileSync(bench.journalPath).length;
      disk.freeBytes = free;
      plug('1');
      const full = disk.freeBytes <= 0;
      disk.freeBytes = Infinity;
      if (full) {
        expect(controlsOf(machine).filter((control) => control.startsWith('policy1'))).toEqual(before);
        expect(readFileSync(bench.journalPath).length, `full after ${free}`).toBe(wholeBytes);
      }
      plug('0');
      plug('1');
      const { records, damagedLines } = readJournal(bench.journalPath)!;
      expect(damagedLines, `full after ${free}`).toEqual([]);
      expect(records.filter(({ control }) => control.includes('/policy1/'))).not.toEqual([]);
      // Killed now: the newcomer has its originals back, too.
      restoreFromJournal({ journalPath: bench.journalPath, tree: machine });
      expect(
        controlsOf(machine).filter((control) => control.startsWith('policy1')),
        `full after ${free}`,
      ).toEqual(before);
      if (!full) break;
    }
    expect(tried).toBeGreaterThan(0);
    figure('disk full while the journal grows', { tried });
  });

  it.each(['fsyncSync', 'linkSync'])('or that fails at %s lets nothing be written', (call) => {
    const base = operatedMachine(MACHINE);
    const writes: string[] = [];
    const actuator = bench.actuator(observed(base, (path) => writes.push(path)));
    disk.failing = call;
    expect(refusalOf(() => actuator.engage())).toBe('journal-failed');
    expect(disk.calls).toBeGreaterThan(0);
    expect(writes).toEqual([]);
  });
});

describe('a journal of another boot', () => {
  it('is not believed: the kernel has begun anew since', () => {
    const { journal } = abandoned();
    const tree = operatedMachine(MACHINE);
    const now = controlsOf(tree);
    const other = journal.replace(/"bootId":"[^"]*"/, '"bootId":"00000000-0000-0000-0000-000000000000"');
    writeFileSync(bench.journalPath, other.replaceAll(/"original":"\d+"/g, '"original":"1200000"'));
    const outcomes = restoreFromJournal({ journalPath: bench.journalPath, tree }).map(({ outcome }) => outcome);
    expect(new Set(outcomes)).toEqual(new Set(['gone']));
    expect(controlsOf(tree)).toEqual(now);
    expect(existsSync(bench.journalPath)).toBe(false);
  });
});
