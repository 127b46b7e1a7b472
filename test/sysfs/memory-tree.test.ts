import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { shippedMock } from './shipped-mock.ts';
import { CONTINUOUS_ANSWERS, CONTINUOUS_START, KERNEL_ANSWERS, START } from './kernel-answers.ts';
import { AMD_PSTATE, AMD_PSTATE_BOOST } from '../vm/guest-scenarios.ts';
import { differences } from './run-scenario.ts';

const CPU = 'devices/system/cpu';
const CPUFREQ = `${CPU}/cpufreq`;
const POLICY0 = `${CPUFREQ}/policy0`;
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

describe('MemoryTree answers as amd-pstate does when boost is switched', () => {
  it.each(AMD_PSTATE_BOOST)('$name', ({ steps }) => {
    // What the recording leaves out of CPPC's files.
    const mock = shippedMock('amd-pstate-qemu-2c');
    const nominal = [0, 1].map((cpu) => [`${CPU}/cpu${cpu}/acpi_cppc/nominal_freq`, '2400'] as const);
    const tree = new MemoryTree({ ...mock, files: new Map([...mock.files, ...nominal]) });
    expect(differences(tree, [...AMD_PSTATE.start, ...steps])).toEqual([]);
  });
});

/** After the drivers' documentation and sources: no machine of these kinds has been asked. */
describe('MemoryTree', () => {
  const set = (tree: MemoryTree, path: string, text: string) => {
    const result = tree.write(`${CPU}/${path}`, text);
    return result.ok ? 'ok' : result.errno;
  };

  it('bounds intel_pstate’s range while no_turbo is set, and brings the requests back', () => {
    const tree = new MemoryTree(shippedMock('intel-pstate-passive-8c'));
    expect(set(tree, 'intel_pstate/no_turbo', '1')).toBe('ok');
    expect([value(tree, 'scaling_max_freq'), value(tree, 'cpuinfo_max_freq')]).toEqual(['3500000', '4800000']);
    expect(set(tree, 'cpufreq/policy0/scaling_max_freq', '4000000')).toBe('ok');
    expect(value(tree, 'scaling_max_freq')).toBe('3500000');
    expect(set(tree, 'intel_pstate/no_turbo', '7')).toBe('ok');
    expect(tree.read(`${CPU}/intel_pstate/no_turbo`)).toEqual({ ok: true, value: '1' });
    expect(set(tree, 'intel_pstate/no_turbo', 'no')).toBe('EINVAL');
    set(tree, 'intel_pstate/no_turbo', '0');
    expect(value(tree, 'scaling_max_freq')).toBe('4000000');
    expect(tree.read(`${CPUFREQ}/policy1/scaling_max_freq`)).toEqual({ ok: true, value: '4800000' });
  });

  it('bounds the range in passive mode, and the speed alone in active mode, by max_perf_pct', () => {
    const passive = new MemoryTree(shippedMock('intel-pstate-passive-8c'));
    expect(set(passive, 'intel_pstate/max_perf_pct', '50')).toBe('ok');
    expect(value(passive, 'scaling_max_freq')).toBe('2400000');
    set(passive, 'intel_pstate/max_perf_pct', '1');
    expect(passive.read(`${CPU}/intel_pstate/max_perf_pct`)).toEqual({ ok: true, value: '17' });
    const active = new MemoryTree(shippedMock('intel-pstate-2s-128c'));
    set(active, 'intel_pstate/max_perf_pct', '50');
    set(active, 'cpufreq/policy0/scaling_governor', 'performance');
    expect([value(active, 'scaling_max_freq'), value(active, 'scaling_cur_freq')]).toEqual(['3400000', '1700000']);
  });

  it('takes a number for intel_pstate’s preference, and a name alone for amd-pstate’s', () => {
    const preference = 'cpufreq/policy0/energy_performance_preference';
    const intel = new MemoryTree(shippedMock('intel-pstate-passive-8c'));
    expect([set(intel, preference, '63'), set(intel, preference, '256')]).toEqual(['ok', 'EINVAL']);
    expect(value(intel, 'energy_performance_preference')).toBe('63');
    const amd = new MemoryTree(shippedMock('amd-pstate-active-16c'));
    expect([set(amd, preference, '63'), set(amd, preference, 'power')]).toEqual(['EINVAL', 'ok']);
  });

  it('keeps the preference performance when amd-pstate leaves its policy of that name, and offers no other under it', () => {
    const tree = new MemoryTree(shippedMock('amd-pstate-active-16c'));
    set(tree, 'cpufreq/policy0/scaling_governor', 'performance');
    expect(value(tree, 'energy_performance_available_preferences')).toBe('performance');
    expect(set(tree, 'cpufreq/policy0/energy_performance_preference', 'power')).toBe('EBUSY');
    set(tree, 'cpufreq/policy0/scaling_governor', 'powersave');
    expect(value(tree, 'energy_performance_preference')).toBe('performance');
    expect(value(tree, 'energy_performance_available_preferences')).toContain('balance_power');
  });

  it('switches acpi-cpufreq’s boost without a change of its range', () => {
    const tree = new MemoryTree(shippedMock('acpi-cpufreq-epyc-7451-2s96c'));
    expect([set(tree, 'cpufreq/boost', '2'), set(tree, 'cpufreq/boost', '0')]).toEqual(['EINVAL', 'ok']);
    expect([value(tree, 'cpb'), value(tree, 'scaling_max_freq')]).toEqual(['0', '2300000']);
    expect(set(new MemoryTree(shippedMock('virtual-machine-4c')), 'cpufreq/boost', '1')).toBe('ENOENT');
  });

  it('takes a CPU’s topology away while it is offline', () => {
    const tree = new MemoryTree(shippedMock('arm-cpufreq-dt-3-policies-8c'));
    set(tree, 'cpu5/online', '0');
    expect(tree.read(`${CPU}/cpu5/topology/core_id`)).toMatchObject({ errno: 'ENOENT' });
    expect(tree.list(`${CPU}/cpu5/topology`)).toMatchObject({ errno: 'ENOENT' });
    set(tree, 'cpu5/online', '1');
    expect(tree.read(`${CPU}/cpu5/topology/core_id`)).toEqual({ ok: true, value: '5' });
  });

  it('loses and gains directories', () => {
    const tree = new MemoryTree(shippedMock('acpi-cpufreq-qemu-2c'));
    tree.remove(`${CPUFREQ}/policy1`);
    expect(tree.list(CPUFREQ)).toEqual({ ok: true, value: ['policy0'] });
    expect(tree.read(`${CPUFREQ}/policy1/scaling_max_freq`)).toMatchObject({ errno: 'ENOENT' });
    tree.add([[`${CPUFREQ}/policy1/scaling_max_freq`, '5']]);
    expect(tree.read(`${CPUFREQ}/policy1/scaling_max_freq`)).toEqual({ ok: true, value: '5' });
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
