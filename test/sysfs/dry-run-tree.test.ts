import { describe, expect, it } from 'vitest';
import type { SysfsTree } from '../../src/core/sysfs-tree.ts';
import { dryRunTree } from '../../src/sysfs/dry-run-tree.ts';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { KERNEL_ANSWERS, START } from './kernel-answers.ts';
import { differences } from './run-scenario.ts';
import { shippedMock } from './shipped-mock.ts';

const POLICY0 = 'devices/system/cpu/cpufreq/policy0';

/** A tree whose files nobody may write. */
function untouchable(base: SysfsTree): SysfsTree {
  return {
    root: base.root,
    read: (path) => base.read(path),
    write: (path) => {
      throw new Error(`a dry run wrote ${path}`);
    },
    list: (path) => base.list(path),
    close: () => base.close(),
  };
}

describe('dryRunTree()', () => {
  // Hotplug is no cpufreq write: a dry run refuses it.
  const withoutHotplug = KERNEL_ANSWERS.filter(({ steps }) => !steps.some(({ path }) => path.endsWith('/online')));
  const start = START.filter(({ path }) => !path.endsWith('/online'));

  it.each(withoutHotplug)('answers as the kernel does, and writes nothing: $name', ({ steps }) => {
    const tree = dryRunTree(untouchable(new MemoryTree(shippedMock('acpi-cpufreq-qemu-2c'))));
    // EISDIR and EACCES differ for a directory, which is no policy's file.
    expect(differences(tree, [...start, ...steps])).toEqual([]);
  });

  it('passes reads through until a policy is written, and for other files always', () => {
    const base = new MemoryTree(shippedMock('acpi-cpufreq-qemu-2c'));
    const tree = dryRunTree(base);
    base.write(`${POLICY0}/scaling_max_freq`, '2800000');
    expect(tree.read(`${POLICY0}/scaling_max_freq`)).toEqual({ ok: true, value: '2800000' });
    tree.write(`${POLICY0}/scaling_max_freq`, '2000000');
    expect(tree.read(`${POLICY0}/scaling_max_freq`)).toEqual({ ok: true, value: '2000000' });
    expect(tree.read(`${POLICY0}/scaling_cur_freq`)).toEqual({ ok: true, value: '2000000' });
    expect(tree.read(`${POLICY0}/scaling_driver`)).toEqual({ ok: true, value: 'acpi-cpufreq' });
    expect(base.read(`${POLICY0}/scaling_max_freq`)).toEqual({ ok: true, value: '2800000' });
    expect(tree.list('devices/system/cpu/cpufreq')).toEqual({ ok: true, value: ['policy0', 'policy1'] });
  });

  it('refuses what is no cpufreq file, and what an offline CPU hides', () => {
    const base = new MemoryTree(shippedMock('acpi-cpufreq-qemu-2c'));
    const tree = dryRunTree(base);
    expect(tree.write('devices/system/cpu/cpu1/online', '0')).toMatchObject({ ok: false, errno: 'EACCES' });
    expect(tree.write('nosuch', '0')).toMatchObject({ ok: false, operation: 'write', errno: 'ENOENT' });
    base.write('devices/system/cpu/cpu1/online', '0');
    const path = 'devices/system/cpu/cpufreq/policy1/scaling_max_freq';
    expect(tree.write(path, '2000000')).toEqual({ ok: false, operation: 'write', path, errno: 'EBUSY' });
  });
});
