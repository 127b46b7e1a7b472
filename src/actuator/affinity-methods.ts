import type { SysfsTree } from '../core/sysfs-tree.ts';
import { cgroup2Root, CPUSET1 } from './cgroup-paths.ts';
import { onlineCpus, type AffinityMethod } from './cpu-control.ts';

/** A way to set the CPUs of services, on this machine. */
export interface AffinityDescription {
  readonly method: AffinityMethod;
  /** What it writes, and for which services. */
  readonly summary: string;
  /** What it lacks here; null where it can be used. */
  readonly lacking: string | null;
}

/**
 * Every method, in the order in which `auto` prefers them; which of them it takes depends on where a service's processes are.
 * Writes nothing. @param systemd whether it governs this machine's control groups
 */
export function describeAffinity(tree: SysfsTree, systemd: boolean): readonly AffinityDescription[] {
  const root = cgroup2Root(tree);
  const controllers = root === null ? null : tree.read(`${root}/cgroup.controllers`);
  const version2 = controllers?.ok === true && controllers.value.split(/\s+/).includes('cpuset');
  const noVersion2 = version2 ? null : 'no controller cpuset of cgroup version 2';
  return [
    {
      method: 'unit',
      summary: 'AllowedCPUs, for a unit of systemd that is the service’s alone',
      lacking: systemd ? noVersion2 : 'systemd does not run here',
    },
    {
      method: 'cgroup2',
      summary: 'cpuset.cpus, for a control group that is delegated or not systemd’s',
      lacking: noVersion2,
    },
    {
      method: 'cgroup1',
      summary: 'cpuset.cpus, for a cpuset of version 1 that is the service’s alone',
      lacking: tree.read(`${CPUSET1}/cpuset.cpus`).ok ? null : 'no cpuset of cgroup version 1',
    },
    { method: 'threads', summary: 'the mask of each thread, for any service', lacking: null },
  ];
}

/** With one CPU there is nothing to give or to take. */
export const canGovernCores = (tree: SysfsTree): boolean => (onlineCpus(tree)?.length ?? 0) > 1;
