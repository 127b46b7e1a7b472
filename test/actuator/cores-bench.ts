import type { CpuOwners, Threads } from '../../src/actuator/cpu-owners.ts';
import { unitsIn } from '../../src/actuator/cpu-owners.ts';
import type { OperatingPoint } from '../../src/core/machine.ts';
import type { SysfsTree } from '../../src/core/sysfs-tree.ts';
import { cpuId } from '../../src/core/units.ts';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';

/** Threads that obey, one process after the other. */
export class FakeThreads implements Threads {
  readonly cgroups = new Map<number, readonly string[]>();
  readonly threads = new Map<number, { pid: number; startTicks: number; mask: readonly number[] }>();
  readonly writes: (readonly number[])[] = [];

  add(pid: number, cgroup: string, masks: readonly (readonly number[])[]): void {
    this.cgroups.set(pid, [`0::${cgroup}`]);
    for (const [index, mask] of masks.entries()) this.threads.set(pid + index, { pid, startTicks: pid, mask });
  }

  cgroupsOf(pid: number): readonly string[] {
    return this.cgroups.get(pid) ?? ['0::/'];
  }

  threadsOf(pid: number): readonly number[] {
    return [...this.threads].filter(([, thread]) => thread.pid === pid).map(([tid]) => tid);
  }

  startOf(tid: number): number | null {
    return this.threads.get(tid)?.startTicks ?? null;
  }

  maskOf(tid: number): readonly number[] | null {
    return this.threads.get(tid)?.mask ?? null;
  }

  setMask(tid: number, cpus: readonly number[]): string | null {
    const thread = this.threads.get(tid);
    if (thread === undefined) return 'ESRCH';
    this.writes.push(cpus);
    thread.mask = [...cpus];
    return null;
  }
}

/** A machine of two CPUs with these control groups of version 2, each with a task. */
export function treeWith(cgroups: readonly string[], original = ''): MemoryTree {
  const machine = shippedMock('acpi-cpufreq-qemu-2c');
  const files = new Map([...machine.files, ['fs/cgroup/cgroup.controllers', 'cpuset']]);
  files.set('fs/cgroup/cpuset.cpus.effective', '');
  for (const cgroup of cgroups) {
    files.set(`fs/cgroup${cgroup}/cpuset.cpus`, original);
    files.set(`fs/cgroup${cgroup}/cpuset.cpus.effective`, '');
    files.set(`fs/cgroup${cgroup}/cgroup.procs`, '500');
  }
  return new MemoryTree({ ...machine, files });
}

export function ownersOf(tree: SysfsTree, threads: Threads, systemd = false, property = ''): CpuOwners {
  return { threads, units: unitsIn(tree, systemd, () => property) };
}

export const pointOf = (cpus: Readonly<Record<string, readonly number[]>>): OperatingPoint => ({
  frequencyKhz: {},
  cpus: Object.fromEntries(Object.entries(cpus).map(([service, list]) => [service, list.map(cpuId)])),
});
