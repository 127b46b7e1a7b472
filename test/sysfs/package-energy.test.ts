import { describe, expect, it, vi } from 'vitest';
import { startLiveMock } from '../../src/sysfs/live-mock.ts';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { findPackageEnergy, readPackageEnergyUj } from '../../src/sysfs/package-energy.ts';
import { realTree } from '../../src/sysfs/real-tree.ts';
import { mockDirectory } from './mock-directory.ts';
import { shippedMock } from './shipped-mock.ts';

const POWERCAP = 'class/powercap';
const machine = () => new MemoryTree(shippedMock('intel-pstate-rapl-2s-8c'));
const namesOf = (tree: MemoryTree) => {
  const probe = findPackageEnergy(tree);
  return probe.kind === 'found' ? probe.zones.map(({ name, path }) => `${name} in ${path}`) : probe.kind;
};

describe('findPackageEnergy()', () => {
  it('finds every package once: no memory, no platform, no second door to a package', () => {
    expect(namesOf(machine())).toEqual([
      'package-0 in class/powercap/intel-rapl:0',
      'package-1 in class/powercap/intel-rapl:1',
    ]);
  });

  it('takes the second door where the first is not there', () => {
    const tree = machine();
    for (const zone of ['intel-rapl:0', 'intel-rapl:1', 'intel-rapl:2']) tree.remove(`${POWERCAP}/${zone}`);
    expect(namesOf(tree)).toEqual(['package-0 in class/powercap/intel-rapl-mmio:0']);
  });

  it('knows the dies of a package', () => {
    const tree = machine();
    tree.set(`${POWERCAP}/intel-rapl:1/name`, 'package-1-die-1');
    expect(namesOf(tree)).toContain('package-1-die-1 in class/powercap/intel-rapl:1');
  });

  it("knows AMD's, which stand under Intel's name with a zone for the cores within each package", () => {
    const tree = new MemoryTree(shippedMock('amd-pstate-active-16c'));
    const zones = { 'intel-rapl:0': 'package-0', 'intel-rapl:0:0': 'core' };
    for (const [zone, name] of Object.entries(zones)) {
      tree.set(`${POWERCAP}/${zone}/name`, name);
      tree.set(`${POWERCAP}/${zone}/energy_uj`, '123');
      tree.set(`${POWERCAP}/${zone}/max_energy_range_uj`, '65532610987');
    }
    expect(namesOf(tree)).toEqual(['package-0 in class/powercap/intel-rapl:0']);
  });

  it('says which counter refuses: the sum of the others is no answer', () => {
    const tree = machine();
    const path = `${POWERCAP}/intel-rapl:1/energy_uj`;
    tree.fail(path, 'read', 'EACCES');
    expect(findPackageEnergy(tree)).toMatchObject({ kind: 'refused', failure: { path, errno: 'EACCES' } });
    tree.fail(path, 'read', 'EACCES', 0);
    tree.set(path, 'nonsense');
    expect(findPackageEnergy(tree)).toMatchObject({ kind: 'refused', failure: { path, errno: 'EINVAL' } });
  });

  it('finds none on a machine without', () => {
    expect(namesOf(new MemoryTree(shippedMock('acpi-cpufreq-qemu-2c')))).toBe('none');
  });
});

describe('readPackageEnergyUj()', () => {
  it('reads all counters or none', () => {
    const tree = machine();
    const probe = findPackageEnergy(tree);
    const zones = probe.kind === 'found' ? probe.zones : [];
    expect(readPackageEnergyUj(tree, zones)).toEqual([262_143_000_000, 77_000_000]);
    tree.fail(`${POWERCAP}/intel-rapl:0/energy_uj`, 'read', 'EIO');
    expect(readPackageEnergyUj(tree, zones)).toBeNull();
  });
});

describe('a live mock', () => {
  it('counts energy', async () => {
    const mock = mockDirectory(shippedMock('intel-pstate-rapl-2s-8c'));
    const tree = realTree(mock.sysfs);
    const live = startLiveMock(mock.sysfs);
    try {
      const counter = (zone: number) => {
        const result = tree.read(`${POWERCAP}/intel-rapl:${zone}/energy_uj`);
        return result.ok ? Number(result.value) : NaN;
      };
      const started = counter(1);
      await vi.waitFor(() => expect(counter(1)).toBeGreaterThan(started), { timeout: 10_000, interval: 20 });
    } finally {
      live.close();
      tree.close();
      mock.remove();
    }
  });
});
