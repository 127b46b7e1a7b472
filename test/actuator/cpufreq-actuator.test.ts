import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createCpufreqActuator } from '../../src/actuator/cpufreq-actuator.ts';
import { readJournal } from '../../src/actuator/journal.ts';
import { restoreFromJournal } from '../../src/actuator/restore.ts';
import type { OperatingPoint } from '../../src/core/machine.ts';
import type { SysfsTree } from '../../src/core/sysfs-tree.ts';
import { kiloHertz } from '../../src/core/units.ts';
import { dryRunTree } from '../../src/sysfs/dry-run-tree.ts';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';

const CPUFREQ = 'devices/system/cpu/cpufreq';
const CONTROLS = ['scaling_governor', 'scaling_min_freq', 'scaling_max_freq', 'energy_performance_preference'];
const MACHINES = ['acpi-cpufreq-qemu-2c', 'amd-pstate-qemu-2c', 'intel-pstate-i7-1165g7-8c'];

let directory: string;
let journalPath: string;
let log: string[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tailgov-actuator-'));
  journalPath = join(directory, 'journal');
  log = [];
});
afterEach(() => rmSync(directory, { recursive: true }));

const memory = (name: string) => new MemoryTree(shippedMock(name));
const guest = () => memory('acpi-cpufreq-qemu-2c');
const actuatorFor = (tree: SysfsTree, journal: string | null = journalPath) =>
  createCpufreqActuator({ tree, journalPath: journal, method: 'auto', log: (_, message) => log.push(message) });
const point = (khzByDomain: Readonly<Record<string, number>>): OperatingPoint => ({
  frequencyKhz: Object.fromEntries(Object.entries(khzByDomain).map(([id, khz]) => [id, kiloHertz(khz)])),
  cpus: {},
});
const shows = (tree: SysfsTree, file: string, policy = 'policy0') => {
  const result = tree.read(`${CPUFREQ}/${policy}/${file}`);
  return result.ok ? result.value : result.errno;
};
const policiesOf = (tree: SysfsTree) => {
  const names = tree.list(CPUFREQ);
  return names.ok ? names.value.filter((name) => name.startsWith('policy')) : [];
};
/** What every control shows. */
const stateOf = (tree: SysfsTree) =>
  policiesOf(tree).map((policy) => CONTROLS.map((file) => `${policy}/${file}=${shows(tree, file, policy)}`));

/** Passes everything on, and notes each write. */
function observed(base: SysfsTree, onWrite: (path: string, text: string) => void): SysfsTree {
  return {
    root: base.root,
    read: (path) => base.read(path),
    write: (path, text) => {
      onWrite(path, text);
      return base.write(path, text);
    },
    list: (path) => base.list(path),
    close: () => base.close(),
  };
}

describe('the cpufreq actuator', () => {
  it('has every original on disk before the first write', () => {
    const base = guest();
    base.write(`${CPUFREQ}/policy0/scaling_governor`, 'schedutil');
    let firstWrite = '';
    const tree = observed(base, (path) => {
      firstWrite ||= path;
      expect(readJournal(journalPath)?.records).toHaveLength(4);
    });
    actuatorFor(tree).engage();
    expect(firstWrite).toBe(`${CPUFREQ}/policy0/scaling_governor`);
    expect(readJournal(journalPath)?.records).toContainEqual({
      control: `${CPUFREQ}/policy0/scaling_governor`,
      original: 'schedutil',
      order: 2,
    });
  });

  it('runs at the cap, says what was applied, and puts everything back', () => {
    const tree = guest();
    tree.write(`${CPUFREQ}/policy0/scaling_governor`, 'schedutil');
    const before = stateOf(tree);
    const actuator = actuatorFor(tree);
    actuator.engage();
    const applied = actuator.apply(point({ policy0: 2_000_000, policy1: 3_200_000 }));
    expect(applied.frequencies).toEqual([
      { domain: 'policy0', askedKhz: 2_000_000, appliedKhz: 2_000_000, outcome: 'applied' },
      { domain: 'policy1', askedKhz: 3_200_000, appliedKhz: 3_200_000, outcome: 'unchanged' },
    ]);
    expect(applied.writes).toBe(1);
    expect(shows(tree, 'scaling_cur_freq')).toBe('2000000');
    const released = actuator.release('original');
    expect(released.map(({ outcome }) => outcome)).toEqual(['restored', 'already', 'restored', 'already']);
    expect(stateOf(tree)).toEqual(before);
    expect(existsSync(journalPath)).toBe(false);
    expect(actuator.release('original')).toEqual([]);
  });

  it('refuses to write before it has a journal, and after it gave the controls back', () => {
    const actuator = actuatorFor(guest());
    expect(() => actuator.apply(point({ policy0: 2_000_000 }))).toThrow('engage() comes first');
    actuator.engage();
    actuator.release('leave');
    expect(() => actuator.apply(point({ policy0: 2_000_000 }))).toThrow('engage() comes first');
  });

  it('writes nothing that would change nothing', () => {
    const actuator = actuatorFor(guest());
    actuator.engage();
    expect(actuator.apply(point({ policy0: 3_200_000 })).writes).toBe(0);
    expect(actuator.apply(point({ policy0: 2_000_000 })).writes).toBe(1);
    expect(actuator.apply(point({ policy0: 2_000_000 }))).toMatchObject({
      writes: 0,
      frequencies: [{ outcome: 'unchanged' }],
    });
  });

  it('says that the kernel made something else of it, and does not repeat itself', () => {
    const tree = guest();
    const actuator = actuatorFor(tree);
    actuator.engage();
    tree.set(`${CPUFREQ}/policy0/bios_limit`, '1600000');
    const first = actuator.apply(point({ policy0: 2_400_000 }));
    expect(first).toMatchObject({ writes: 1, frequencies: [{ outcome: 'clamped', appliedKhz: 1_600_000 }] });
    expect(first.frequencies[0]?.detail).toBe('policy0: wrote 2400000, reads 1600000');
    const second = actuator.apply(point({ policy0: 2_400_000 }));
    expect(second).toMatchObject({ writes: 0, frequencies: [{ outcome: 'clamped', appliedKhz: 1_600_000 }] });
    tree.set(`${CPUFREQ}/policy0/bios_limit`, '3200000');
    const third = actuator.apply(point({ policy0: 2_400_000 }));
    expect(third.frequencies).toMatchObject([{ outcome: 'applied', appliedKhz: 2_400_000 }]);
  });

  it('does not take a firmware limit for the original', () => {
    const tree = guest();
    tree.set(`${CPUFREQ}/policy0/bios_limit`, '2000000');
    const actuator = actuatorFor(tree);
    actuator.engage();
    actuator.apply(point({ policy0: 1_200_000 }));
    const control = `${CPUFREQ}/policy0/scaling_max_freq`;
    const detail = 'reads 2000000, asked 3200000';
    expect(actuator.release('original')).toContainEqual({ control, outcome: 'restored', detail });
    tree.set(`${CPUFREQ}/policy0/bios_limit`, '3200000');
    expect(shows(tree, 'scaling_max_freq')).toBe('3200000');
  });

  it('reports a refused write and goes on with the others', () => {
    const tree = guest();
    const actuator = actuatorFor(tree);
    actuator.engage();
    tree.fail(`${CPUFREQ}/policy0/scaling_max_freq`, 'write', 'EIO', 1);
    const asked = point({ policy0: 2_000_000, policy1: 2_000_000 });
    expect(actuator.apply(asked).frequencies).toEqual([
      { domain: 'policy0', askedKhz: 2_000_000, appliedKhz: 3_200_000, outcome: 'refused', detail: 'policy0: EIO' },
      { domain: 'policy1', askedKhz: 2_000_000, appliedKhz: 2_000_000, outcome: 'applied' },
    ]);
    expect(actuator.apply(asked).frequencies[0]).toMatchObject({ outcome: 'applied' });
  });

  it('lives through a CPU that goes and comes', () => {
    const tree = guest();
    const actuator = actuatorFor(tree);
    actuator.engage();
    tree.write('devices/system/cpu/cpu1/online', '0');
    const asked = point({ policy1: 1_600_000 });
    expect(actuator.apply(asked).frequencies).toMatchObject([
      { outcome: 'refused', appliedKhz: null, detail: 'policy1: EBUSY' },
    ]);
    tree.write('devices/system/cpu/cpu1/online', '1');
    expect(actuator.apply(asked).frequencies).toMatchObject([{ outcome: 'applied', appliedKhz: 1_600_000 }]);
  });

  it('keeps each policy of a merged domain in its own range', () => {
    const tree = memory('intel-pstate-i7-1165g7-8c');
    tree.write(`${CPUFREQ}/policy4/scaling_max_freq`, '3000000');
    const actuator = actuatorFor(tree);
    actuator.engage();
    expect(actuator.machine.domains[0]).toMatchObject({ id: 'policy0', cpus: [0, 4], allowedMaxKhz: 4_700_000 });
    expect(actuator.apply(point({ policy0: 4_000_000 }))).toMatchObject({
      writes: 1,
      frequencies: [{ domain: 'policy0', appliedKhz: 4_000_000, outcome: 'applied' }],
    });
    expect(shows(tree, 'scaling_max_freq', 'policy4')).toBe('3000000');
    expect(actuator.apply(point({ policy0: 2_000_000 })).writes).toBe(2);
    expect(shows(tree, 'scaling_max_freq', 'policy4')).toBe('2000000');
  });

  it('brings the energy preference back that governor performance hid', () => {
    const tree = memory('intel-pstate-i7-1165g7-8c');
    const actuator = actuatorFor(tree);
    actuator.engage();
    expect(shows(tree, 'energy_performance_preference')).toBe('performance');
    actuator.release('original');
    expect(shows(tree, 'energy_performance_preference')).toBe('balance_power');
    expect(shows(tree, 'scaling_governor')).toBe('powersave');
  });

  it('restores the energy preference, also where the driver would bring another one back', () => {
    const tree = memory('intel-pstate-i7-1165g7-8c');
    const actuator = actuatorFor(tree);
    actuator.engage();
    for (const [file, text] of [
      ['scaling_governor', 'powersave'],
      ['energy_performance_preference', 'power'],
      ['scaling_governor', 'performance'],
    ]) {
      tree.write(`${CPUFREQ}/policy0/${file}`, text!);
    }
    actuator.release('original');
    expect(shows(tree, 'energy_performance_preference')).toBe('balance_power');
  });

  it('leaves at full speed, or as it is, when told so', () => {
    const tree = guest();
    const full = actuatorFor(tree);
    full.engage();
    full.apply(point({ policy0: 1_200_000 }));
    expect(full.release('max').map(({ outcome }) => outcome)).toEqual(['restored', 'already']);
    expect(shows(tree, 'scaling_cur_freq')).toBe('3200000');
    const left = actuatorFor(tree);
    left.engage();
    left.apply(point({ policy0: 1_200_000 }));
    expect(left.release('leave')).toEqual([]);
    expect(shows(tree, 'scaling_cur_freq')).toBe('1200000');
    expect(existsSync(journalPath)).toBe(false);
  });

  it('says once that somebody changed the governor', () => {
    const tree = guest();
    const actuator = actuatorFor(tree);
    actuator.engage();
    tree.write(`${CPUFREQ}/policy0/scaling_governor`, 'powersave');
    actuator.apply(point({ policy0: 2_000_000 }));
    actuator.apply(point({ policy0: 2_000_000 }));
    expect(log.filter((message) => message.includes('somebody set governor powersave'))).toHaveLength(1);
  });

  it('gives back what it took when it cannot take all', () => {
    const tree = guest();
    for (const policy of policiesOf(tree)) tree.write(`${CPUFREQ}/${policy}/scaling_governor`, 'schedutil');
    const before = stateOf(tree);
    tree.fail(`${CPUFREQ}/policy1/scaling_governor`, 'write', 'EACCES', 1);
    expect(() => actuatorFor(tree).engage()).toThrow(/policy1\/scaling_governor: EACCES/);
    expect(stateOf(tree)).toEqual(before);
    expect(existsSync(journalPath)).toBe(false);
  });

  it('says that there is nothing to govern', () => {
    const bare = { ...shippedMock('acpi-cpufreq-qemu-2c'), files: new Map([['devices/system/cpu/online', '0-1']]) };
    expect(() => actuatorFor(new MemoryTree(bare))).toThrow(/no cpufreq policy of an online CPU/);
    const files = new Map(shippedMock('acpi-cpufreq-qemu-2c').files);
    files.set(`${CPUFREQ}/policy1/scaling_available_governors`, 'userspace schedutil');
    const tree = new MemoryTree({ ...bare, files });
    expect(() => actuatorFor(tree)).toThrow('governor performance expected, offered: userspace, schedutil');
  });

  it('restores what a daemon that died has left before it reads the operator’s range', () => {
    const tree = guest();
    tree.write(`${CPUFREQ}/policy0/scaling_governor`, 'schedutil');
    const before = stateOf(tree);
    const dead = actuatorFor(tree);
    dead.engage();
    dead.apply(point({ policy0: 1_200_000, policy1: 1_200_000 }));
    const next = actuatorFor(tree);
    expect(next.machine.domains[0]).toMatchObject({ allowedMaxKhz: 3_200_000 });
    expect(log).toContainEqual(expect.stringMatching(/^restored 4 of 4 controls/));
    next.engage();
    next.release('original');
    expect(stateOf(tree)).toEqual(before);
  });

  it('carries over the original of a control that could not be restored', () => {
    const tree = guest();
    const dead = actuatorFor(tree);
    dead.engage();
    dead.apply(point({ policy1: 1_200_000 }));
    tree.write('devices/system/cpu/cpu1/online', '0');
    const next = actuatorFor(tree);
    expect(next.machine.domains.map(({ id }) => id)).toEqual(['policy0']);
    next.engage();
    tree.write('devices/system/cpu/cpu1/online', '1');
    expect(shows(tree, 'scaling_max_freq', 'policy1')).toBe('1200000');
    next.release('original');
    expect(shows(tree, 'scaling_max_freq', 'policy1')).toBe('3200000');
  });

  it('keeps a journal that belongs to another tree', () => {
    const other = memory('amd-pstate-qemu-2c');
    actuatorFor(other).engage();
    expect(() => actuatorFor(guest())).toThrow(/still holds controls below amd-pstate-qemu-2c/);
    expect(readJournal(journalPath)?.header.sysfsRoot).toBe('amd-pstate-qemu-2c');
  });

  it('governs a dry run without a journal and without a write', () => {
    const base = observed(guest(), (path) => expect.fail(`wrote ${path}`));
    const tree = dryRunTree(base);
    const actuator = actuatorFor(tree, null);
    actuator.engage();
    expect(actuator.apply(point({ policy0: 2_000_000 })).frequencies).toMatchObject([{ appliedKhz: 2_000_000 }]);
    expect(shows(base, 'scaling_max_freq')).toBe('3200000');
    expect(actuator.release('original')).toContainEqual(expect.objectContaining({ outcome: 'restored' }));
  });
});

describe('whatever happens', () => {
  const fault = fc.record({
    policy: fc.constantFrom('policy0', 'policy1'),
    file: fc.constantFrom('scaling_max_freq', 'scaling_governor', 'energy_performance_preference'),
    operation: fc.constantFrom('read' as const, 'write' as const),
    errno: fc.constantFrom('EIO', 'EBUSY', 'EINVAL', 'EACCES'),
    times: fc.integer({ min: 1, max: 3 }),
  });
  const step = fc.record({ share: fc.double({ min: 0, max: 1.2, noNaN: true }), fault: fc.option(fault) });
  const scenario = fc.record({
    machine: fc.constantFrom(...MACHINES),
    operator: fc.record({
      min: fc.nat(5_000_000),
      max: fc.nat(5_000_000),
      governor: fc.constantFrom('powersave', 'performance'),
    }),
    steps: fc.array(step, { maxLength: 12 }),
    dies: fc.boolean(),
  });

  it('every control comes back, minimum stays below maximum, nothing else is written', () => {
    fc.assert(
      fc.property(scenario, ({ machine, operator, steps, dies }) => {
        const base = memory(machine);
        base.write(`${CPUFREQ}/policy0/scaling_min_freq`, String(operator.min));
        base.write(`${CPUFREQ}/policy0/scaling_max_freq`, String(operator.max));
        base.write(`${CPUFREQ}/policy1/scaling_governor`, operator.governor);
        const before = stateOf(base);
        const written = new Set<string>();
        const tree = observed(base, (path) => written.add(path));
        const actuator = actuatorFor(tree);
        actuator.engage();
        const journaled = new Set(readJournal(journalPath)?.records.map(({ control }) => control));
        for (const { share, fault } of steps) {
          if (fault !== null) {
            base.fail(`${CPUFREQ}/${fault.policy}/${fault.file}`, fault.operation, fault.errno, fault.times);
          }
          const khz = actuator.machine.domains.map(({ id, maxKhz }) => [id, Math.round(share * maxKhz)] as const);
          actuator.apply(point(Object.fromEntries(khz)));
          for (const policy of policiesOf(base)) {
            const [min, max] = [shows(base, 'scaling_min_freq', policy), shows(base, 'scaling_max_freq', policy)];
            if (/^\d+$/.test(min) && /^\d+$/.test(max)) expect(Number(min)).toBeLessThanOrEqual(Number(max));
          }
        }
        if (!dies) actuator.release('original');
        // Faults end after a few times; restoring can be repeated until then, from the journal that stays.
        for (let attempt = 0; existsSync(journalPath); attempt++) {
          expect(attempt).toBeLessThan(100);
          restoreFromJournal({ journalPath, tree });
        }
        for (const policy of policiesOf(base)) {
          for (const file of CONTROLS) base.fail(`${CPUFREQ}/${policy}/${file}`, 'read', 'EIO', 0);
        }
        expect(stateOf(base)).toEqual(before);
        for (const path of written) expect(journaled).toContain(path);
      }),
      { numRuns: 60 },
    );
  });
});
