import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { cpufreqChecks, otherWritersCheck } from '../../../src/compose/diagnosis/cpufreq-checks.ts';
import { MemoryTree } from '../../../src/sysfs/memory-tree.ts';
import { loadMock } from '../../../src/sysfs/mock-file.ts';

const textLike = (pattern: RegExp): unknown => expect.stringMatching(pattern);
const machine = (name: string) =>
  new MemoryTree(loadMock(fileURLToPath(new URL(`../../../sysfs-mocks/${name}.tsv`, import.meta.url))));
const found = (name: string) =>
  Object.fromEntries(cpufreqChecks(machine(name)).map((finding) => [finding.check, finding]));

describe('cpufreqChecks()', () => {
  test('shows the driver, the method with its alternatives, governor and energy preference of a laptop', () => {
    const laptop = found('intel-pstate-i7-1165g7-8c');
    expect(laptop['frequency']).toMatchObject({ state: 'ok', detail: textLike(/^intel_pstate, /) });
    expect(laptop['method']!.detail).toMatch(/^cap /);
    expect(laptop['method']!.alternatives).toHaveLength(3);
    expect(laptop['governor']!.detail).toBe('powersave at present');
    expect(laptop['energy preference']!.detail).toBe('balance_power at present');
  });

  test('leaves out what the driver does not have', () => {
    expect(found('acpi-cpufreq-epyc-7451-2s96c')['energy preference']).toBeUndefined();
  });

  test('says so where policies differ', () => {
    const tree = machine('intel-pstate-i7-1165g7-8c');
    tree.write('devices/system/cpu/cpufreq/policy0/scaling_governor', 'performance');
    const governor = cpufreqChecks(tree).find(({ check }) => check === 'governor');
    expect(governor!.detail).toBe('performance (1 policy), powersave (7 policies) at present');
  });
});

test('otherWritersCheck() names those that run, once', () => {
  const tree = machine('intel-pstate-i7-1165g7-8c');
  expect(otherWritersCheck(tree, ['bash', 'tlp', 'tuned', 'tuned-ppd'])).toMatchObject([
    { state: 'degraded', detail: textLike(/: TLP, tuned$/) },
  ]);
  expect(otherWritersCheck(tree, ['bash'])).toEqual([]);
});
