import { expect, test } from 'vitest';
import { energyCheck } from '../../../src/compose/diagnosis/energy-check.ts';
import { corei7_1165g7 } from '../../../src/core/power-model.ts';
import { MemoryTree } from '../../../src/sysfs/memory-tree.ts';
import { shippedMock } from '../../sysfs/shipped-mock.ts';

const machine = (name: string) => new MemoryTree(shippedMock(name));

test('energyCheck() names the packages that are measured', () => {
  expect(energyCheck(machine('intel-pstate-rapl-2s-8c'), null)).toEqual({
    check: 'energy',
    state: 'ok',
    detail: 'measured by the counters (RAPL) of package-0, package-1',
  });
});

test('energyCheck() says what is missing, and what is told instead', () => {
  const tree = machine('intel-pstate-rapl-2s-8c');
  tree.fail('class/powercap/intel-rapl:0/energy_uj', 'read', 'EACCES');
  const refused = energyCheck(tree, corei7_1165g7);
  expect(refused.state).toBe('degraded');
  expect(refused.detail).toMatch(/intel-rapl:0\/energy_uj: EACCES; the model of the Intel Core i7-1165G7 instead/);
  const none = energyCheck(machine('acpi-cpufreq-qemu-2c'), null);
  expect(none).toMatchObject({ check: 'energy', state: 'degraded' });
  expect(none.detail).toMatch(/no model of this CPU either/);
  expect(none.remedy).toMatch(/modprobe intel_rapl_msr/);
});
