import { describe, expect, it } from 'vitest';
import { discoverMachine } from '../../src/actuator/discover-machine.ts';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import type { MockMachine } from '../../src/sysfs/mock-machine.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';

const CPU = 'devices/system/cpu';
const POLICY0 = `${CPU}/cpufreq/policy0`;

/** The guest's machine with some of its files changed. */
function guestWith(changes: Readonly<Record<string, string>>): MemoryTree {
  const guest = shippedMock('acpi-cpufreq-qemu-2c');
  const machine: MockMachine = { ...guest, files: new Map([...guest.files, ...Object.entries(changes)]) };
  return new MemoryTree(machine);
}

describe('discoverMachine()', () => {
  it('finds two domains, their range and their steps', () => {
    const machine = discoverMachine(guestWith({}));
    expect(machine.cpus).toEqual([0, 1]);
    expect(machine.domains.map(({ id, cpus }) => [id, cpus])).toEqual([
      ['policy0', [0]],
      ['policy1', [1]],
    ]);
    expect(machine.domains[0]).toEqual({
      id: 'policy0',
      cpus: [0],
      minKhz: 1_200_000,
      maxKhz: 3_200_000,
      allowedMinKhz: 1_200_000,
      allowedMaxKhz: 3_200_000,
      stepsKhz: [1_200_000, 1_600_000, 2_000_000, 2_400_000, 2_800_000, 3_200_000],
    });
  });

  it('merges the two threads of each core: 96 policies, 48 domains', () => {
    const machine = discoverMachine(new MemoryTree(shippedMock('acpi-cpufreq-epyc-7451-2s96c')));
    expect(machine.cpus).toHaveLength(96);
    expect(machine.domains).toHaveLength(48);
    expect(machine.domains[0]).toMatchObject({
      id: 'policy0',
      cpus: [0, 48],
      stepsKhz: [1_200_000, 1_800_000, 2_300_000],
    });
    expect(machine.domains.at(-1)).toMatchObject({ id: 'policy47', cpus: [47, 95] });
  });

  it('merges by SMT siblings where the driver says nothing, over a continuous range', () => {
    const machine = discoverMachine(new MemoryTree(shippedMock('intel-pstate-i7-1165g7-8c')));
    expect(machine.domains.map(({ cpus }) => cpus)).toEqual([
      [0, 4],
      [1, 5],
      [2, 6],
      [3, 7],
    ]);
    expect(machine.domains[0]).toMatchObject({ stepsKhz: null, minKhz: 400_000, maxKhz: 4_700_000 });
  });

  it('merges by freqdomain_cpus', () => {
    expect(discoverMachine(guestWith({ [`${POLICY0}/freqdomain_cpus`]: '0 1' })).domains).toMatchObject([
      { id: 'policy0', cpus: [0, 1] },
    ]);
  });

  it('skips the policy of an offline CPU', () => {
    const tree = guestWith({});
    tree.write(`${CPU}/cpu1/online`, '0');
    const machine = discoverMachine(tree);
    expect(machine.cpus).toEqual([0]);
    expect(machine.domains.map(({ id }) => id)).toEqual(['policy0']);
  });

  it('takes the range that the operator has set', () => {
    const tree = guestWith({});
    tree.write(`${POLICY0}/scaling_min_freq`, '1600000');
    tree.write(`${POLICY0}/scaling_max_freq`, '2400000');
    expect(discoverMachine(tree).domains[0]).toMatchObject({
      allowedMinKhz: 1_600_000,
      allowedMaxKhz: 2_400_000,
      maxKhz: 3_200_000,
    });
  });

  it('takes no firmware limit for the operator’s maximum', () => {
    const tree = guestWith({});
    tree.set(`${POLICY0}/bios_limit`, '2100000');
    expect(discoverMachine(tree).domains[0]).toMatchObject({ allowedMaxKhz: 3_200_000 });
    tree.write(`${POLICY0}/scaling_max_freq`, '1600000');
    expect(discoverMachine(tree).domains[0]).toMatchObject({ allowedMaxKhz: 1_600_000 });
  });

  it('takes the table’s top for the maximum where boost shows a higher one', () => {
    const tree = guestWith({ [`${POLICY0}/cpuinfo_max_freq`]: '4000000' });
    expect(discoverMachine(tree).domains[0]).toMatchObject({ maxKhz: 3_200_000 });
  });

  it('finds no domains where there is no cpufreq, or only junk', () => {
    const bare = { ...shippedMock('acpi-cpufreq-qemu-2c'), files: new Map([[`${CPU}/online`, '0-1']]) };
    expect(discoverMachine(new MemoryTree(bare))).toMatchObject({ cpus: [0, 1], domains: [] });
    const junk = guestWith({ [`${POLICY0}/cpuinfo_min_freq`]: 'junk' });
    expect(discoverMachine(junk).domains.map(({ id }) => id)).toEqual(['policy1']);
  });
});
