import { describe, expect, it } from 'vitest';
import { captureMachine } from '../../src/sysfs/capture-machine.ts';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { shippedMock } from './shipped-mock.ts';

const CPU = 'devices/system/cpu';

describe('captureMachine()', () => {
  it('takes what tells how a machine can be governed, and nothing that names it or counts its use', () => {
    const mock = shippedMock('intel-pstate-2s-128c');
    const private_ = {
      [`${CPU}/cpufreq/policy0/stats/time_in_state`]: '1 2',
      [`${CPU}/cpu0/cpuidle/state1/usage`]: '17',
      [`${CPU}/cpu0/microcode/version`]: '0x1',
      'class/powercap/intel-rapl:0/energy_uj': '17',
      'class/dmi/id/product_serial': '4711',
      'class/thermal/thermal_zone0/temp': '44000',
    };
    const more = {
      [`${CPU}/cpu3/acpi_cppc/nominal_freq`]: '2400',
      'class/thermal/cooling_device0/type': 'Processor',
      'class/thermal/cooling_device0/cur_state': '0',
    };
    const all = new Map([...mock.files, ...Object.entries(private_), ...Object.entries(more)]);
    const captured = captureMachine(new MemoryTree({ ...mock, files: all }));
    expect(Object.fromEntries(captured)).toEqual({ ...Object.fromEntries(mock.files), ...more });
  });

  it('leaves out what cannot be read now', () => {
    const tree = new MemoryTree(shippedMock('acpi-cpufreq-qemu-2c'));
    tree.write(`${CPU}/cpu1/online`, '0');
    const captured = captureMachine(tree);
    expect(captured.has(`${CPU}/cpufreq/policy0/scaling_max_freq`)).toBe(true);
    expect(captured.has(`${CPU}/cpufreq/policy1/scaling_max_freq`)).toBe(false);
    expect(captured.get(`${CPU}/online`)).toBe('0');
  });
});
