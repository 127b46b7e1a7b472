import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readJournal } from '../../src/actuator/journal.ts';
import type { SysfsTree } from '../../src/core/sysfs-tree.ts';
import { dryRunTree } from '../../src/sysfs/dry-run-tree.ts';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';
import { ActuatorBench, CPUFREQ, memory, observed, point, policiesOf, shows, stateOf } from './actuator-bench.ts';

let bench: ActuatorBench;
beforeEach(() => (bench = new ActuatorBench()));
afterEach(() => bench.remove());

const guest = () => memory('acpi-cpufreq-qemu-2c');
const actuatorFor = (tree: SysfsTree, journalPath: string | null = bench.journalPath) =>
  bench.actuator(tree, { journalPath });

describe('the cpufreq actuator', () => {
  it('has every original on disk before the first write', () => {
    const base = guest();
    base.write(`${CPUFREQ}/policy0/scaling_governor`, 'schedutil');
    let firstWrite = '';
    const tree = observed(base, (path) => {
      firstWrite ||= path;
      expect(readJournal(bench.journalPath)?.records).toHaveLength(4);
    });
    actuatorFor(tree).engage();
    expect(firstWrite).toBe(`${CPUFREQ}/policy0/scaling_governor`);
    expect(readJournal(bench.journalPath)?.records).toContainEqual({
      control: `${CPUFREQ}/policy0/scaling_governor`,
      original: 'schedutil',
      order: 2,
      driver: 'acpi-cpufreq',
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
    expect(existsSync(bench.journalPath)).toBe(false);
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
    expect(third).toMatchObject({ writes: 0, frequencies: [{ outcome: 'unchanged', appliedKhz: 2_400_000 }] });
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
      {
        domain: 'policy0',
        askedKhz: 2_000_000,
        appliedKhz: 3_200_000,
        outcome: 'refused',
        detail: 'policy0: write 2000000 to scaling_max_freq: EIO',
      },
      { domain: 'policy1', askedKhz: 2_000_000, appliedKhz: 2_000_000, outcome: 'applied' },
    ]);
    expect(actuator.apply(asked).frequencies[0]).toMatchObject({ outcome: 'applied' });
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
    expect(full.release('max')).toContainEqual({ control: `${CPUFREQ}/policy0/scaling_max_freq`, outcome: 'restored' });
    expect(shows(tree, 'scaling_cur_freq')).toBe('3200000');
    const left = actuatorFor(tree);
    left.engage();
    left.apply(point({ policy0: 1_200_000 }));
    expect(left.release('leave')).toEqual([]);
    expect(shows(tree, 'scaling_cur_freq')).toBe('1200000');
    expect(existsSync(bench.journalPath)).toBe(false);
  });

  it('gives back what it took when it cannot take all', () => {
    const tree = guest();
    for (const policy of policiesOf(tree)) tree.write(`${CPUFREQ}/${policy}/scaling_governor`, 'schedutil');
    const before = stateOf(tree);
    tree.fail(`${CPUFREQ}/policy1/scaling_governor`, 'write', 'EACCES', 1);
    expect(() => actuatorFor(tree).engage()).toThrow(/policy1: write performance to scaling_governor: EACCES/);
    expect(stateOf(tree)).toEqual(before);
    expect(existsSync(bench.journalPath)).toBe(false);
  });

  it('says that there is nothing to govern', () => {
    const bare = { ...shippedMock('acpi-cpufreq-qemu-2c'), files: new Map([['devices/system/cpu/online', '0-1']]) };
    expect(() => actuatorFor(new MemoryTree(bare))).toThrow(/no cpufreq policy of an online CPU/);
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
    expect(bench.log).toContainEqual(expect.stringMatching(/restored 4 of 4 controls/));
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
    expect(readJournal(bench.journalPath)?.header.sysfsRoot).toBe('amd-pstate-qemu-2c');
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
