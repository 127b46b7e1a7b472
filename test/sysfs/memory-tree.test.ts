import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { shippedMock } from './shipped-mock.ts';
import { CONTINUOUS_ANSWERS, CONTINUOUS_START, KERNEL_ANSWERS, START } from './kernel-answers.ts';
import { differences } from './run-scenario.ts';

const CPU = 'devices/system/cpu';
const POLICY0 = `${CPU}/cpufreq/policy0`;
const value = (tree: MemoryTree, file: string) => {
  const result = tree.read(`${POLICY0}/${file}`);
  return result.ok ? result.value : result.errno;
};

describe('MemoryTree answers as acpi-cpufreq does', () => {
  it.each(KERNEL_ANSWERS)('$name', ({ steps }) => {
    expect(differences(new MemoryTree(shippedMock('acpi-cpufreq-qemu-2c')), [...START, ...steps])).toEqual([]);
  });
});

describe('MemoryTree answers as a driver without a table does', () => {
  it.each(CONTINUOUS_ANSWERS)('$name', ({ steps }) => {
    const tree = new MemoryTree(shippedMock('amd-pstate-qemu-2c'));
    expect(differences(tree, [...CONTINUOUS_START, ...steps])).toEqual([]);
  });
});

describe('MemoryTree', () => {
  it('shows a recording as it is until something is written', () => {
    const mock = shippedMock('acpi-cpufreq-epyc-7451-2s96c');
    const tree = new MemoryTree(mock);
    for (const [path, text] of mock.files) expect(tree.read(path)).toEqual({ ok: true, value: text });
  });

  it('lists policies by number', () => {
    const tree = new MemoryTree(shippedMock('acpi-cpufreq-epyc-7451-2s96c'));
    const names = tree.list(`${CPU}/cpufreq`);
    expect(names.ok && names.value.slice(0, 4)).toEqual(['boost', 'policy0', 'policy1', 'policy2']);
    expect(names.ok && names.value.at(-1)).toBe('policy95');
    expect(tree.list(`${CPU}/online`)).toMatchObject({ ok: false, errno: 'ENOTDIR' });
    expect(tree.list('nosuch')).toMatchObject({ ok: false, errno: 'ENOENT' });
  });

  it('lets a firmware limit bound the maximum, and brings the request back when it is lifted', () => {
    const tree = new MemoryTree(shippedMock('acpi-cpufreq-qemu-2c'));
    tree.set(`${POLICY0}/bios_limit`, '2000000');
    expect(value(tree, 'scaling_max_freq')).toBe('2000000');
    expect(value(tree, 'scaling_cur_freq')).toBe('2000000');
    expect(tree.write(`${POLICY0}/scaling_max_freq`, '2800000')).toEqual({ ok: true, value: undefined });
    expect(value(tree, 'scaling_max_freq')).toBe('2000000');
    tree.set(`${POLICY0}/bios_limit`, '3200000');
    expect(value(tree, 'scaling_max_freq')).toBe('2800000');
  });

  it('fails as often as it is told', () => {
    const tree = new MemoryTree(shippedMock('acpi-cpufreq-qemu-2c'));
    const path = `${POLICY0}/scaling_max_freq`;
    tree.fail(path, 'write', 'EIO', 1);
    expect(tree.write(path, '2000000')).toEqual({ ok: false, operation: 'write', path, errno: 'EIO' });
    expect(value(tree, 'scaling_max_freq')).toBe('3200000');
    expect(tree.write(path, '2000000').ok).toBe(true);
    expect(value(tree, 'scaling_max_freq')).toBe('2000000');
    tree.fail(path, 'read', 'EBUSY');
    expect(tree.read(path).ok).toBe(false);
    tree.fail(path, 'read', 'EBUSY', 0);
    expect(tree.read(path).ok).toBe(true);
  });

  it('runs intel_pstate at the cap under performance, over a continuous range', () => {
    const tree = new MemoryTree(shippedMock('intel-pstate-i7-1165g7-8c'));
    tree.write(`${POLICY0}/scaling_max_freq`, '2345678');
    expect(value(tree, 'scaling_max_freq')).toBe('2345678');
    expect(Number(value(tree, 'scaling_cur_freq'))).toBeLessThanOrEqual(2_345_678);
    expect(tree.write(`${POLICY0}/scaling_setspeed`, '2000000')).toMatchObject({ errno: 'EINVAL' });
    expect(tree.write(`${POLICY0}/scaling_governor`, 'schedutil')).toMatchObject({ errno: 'EINVAL' });
    expect(tree.write(`${POLICY0}/scaling_governor`, 'performance').ok).toBe(true);
    expect(value(tree, 'scaling_cur_freq')).toBe('2345678');
  });

  it('shows the preference `performance` under intel_pstate’s performance, refuses others, and brings the old one back', () => {
    const tree = new MemoryTree(shippedMock('intel-pstate-i7-1165g7-8c'));
    tree.write(`${POLICY0}/scaling_governor`, 'performance');
    expect(value(tree, 'energy_performance_preference')).toBe('performance');
    expect(tree.write(`${POLICY0}/energy_performance_preference`, 'power')).toMatchObject({ errno: 'EBUSY' });
    tree.write(`${POLICY0}/scaling_governor`, 'powersave');
    expect(value(tree, 'energy_performance_preference')).toBe('balance_power');
    expect(tree.write(`${POLICY0}/energy_performance_preference`, 'power').ok).toBe(true);
    expect(tree.write(`${POLICY0}/energy_performance_preference`, 'nosuch')).toMatchObject({ errno: 'EINVAL' });
  });

  it('always shows minimum ≤ current ≤ maximum, on steps, whatever is written', () => {
    const steps = [1200000, 1600000, 2000000, 2400000, 2800000, 3200000];
    const write = fc.oneof(
      fc.record({
        file: fc.constantFrom('scaling_min_freq', 'scaling_max_freq', 'scaling_setspeed'),
        text: fc.nat(4_000_000).map(String),
      }),
      fc.record({
        file: fc.constant('scaling_governor'),
        text: fc.constantFrom('userspace', 'performance', 'powersave', 'schedutil'),
      }),
    );
    fc.assert(
      fc.property(fc.array(write, { maxLength: 20 }), (writes) => {
        const tree = new MemoryTree(shippedMock('acpi-cpufreq-qemu-2c'));
        for (const { file, text } of writes) {
          tree.write(`${POLICY0}/${file}`, text);
          const [min, current, max] = ['min', 'cur', 'max'].map((name) => Number(value(tree, `scaling_${name}_freq`)));
          expect(steps).toContain(min);
          expect(steps).toContain(current);
          expect(steps).toContain(max);
          expect(min).toBeLessThanOrEqual(current!);
          expect(current).toBeLessThanOrEqual(max!);
        }
      }),
    );
  });
});
