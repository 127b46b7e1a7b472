import { dirname } from 'node:path/posix';
import type { SysfsTree } from '../core/sysfs-tree.ts';

/** Where control groups are mounted below /sys; see Documentation/admin-guide/cgroup-v2.rst. */
const CGROUP2 = 'fs/cgroup';
/** Beside hierarchies of version 1, systemd and others mount version 2 here. */
const CGROUP2_HYBRID = 'fs/cgroup/unified';
/** Version 1; see Documentation/admin-guide/cgroup-v1/cpusets.rst. */
export const CPUSET1 = 'fs/cgroup/cpuset';

/** The root of the version 2 hierarchy; null where there is none. */
export function cgroup2Root(tree: SysfsTree): string | null {
  return [CGROUP2, CGROUP2_HYBRID].find((root) => tree.read(`${root}/cgroup.controllers`).ok) ?? null;
}

/** The file that holds what was asked for. @param root of the hierarchy */
export const cpusetFile = (cgroup: string, root = CGROUP2): string => `${root}${cgroup}/cpuset.cpus`;

/** What the tasks of a cpuset are left with, by the path of its `cpuset.cpus`. */
export function effectiveFile(file: string): string {
  return file.startsWith(`${CPUSET1}/`) ? `${dirname(file)}/cpuset.effective_cpus` : `${file}.effective`;
}

/** From `/proc/PID/cgroup`: the path in the version 2 hierarchy, and in that of the cpuset controller of version 1. */
export function parseCgroups(lines: readonly string[]): { readonly v2: string | null; readonly cpuset: string | null } {
  const pathOf = (controller: (names: readonly string[], id: string) => boolean) => {
    for (const line of lines) {
      const match = /^(\d+):([^:]*):(.*)$/.exec(line);
      if (match !== null && controller(match[2]!.split(','), match[1]!)) return match[3]!;
    }
    return null;
  };
  return {
    v2: pathOf((names, id) => id === '0' && names[0] === ''),
    cpuset: pathOf((names) => names.includes('cpuset')),
  };
}

/** Who owns a control group of version 2. */
export type CgroupOwner =
  | { readonly kind: 'unit'; readonly unit: string; readonly cgroup: string }
  | { readonly kind: 'delegated' | 'foreign' | 'kubelet' | 'shared' };

/**
 * By systemd's naming: a path whose last part is a service or a scope is that unit's; below one it was delegated. Slices, user
 * sessions and the root hold more than one service.
 */
export function ownerOf(cgroup: string, systemd: boolean): CgroupOwner {
  const parts = cgroup.split('/').filter((part) => part !== '');
  if (parts.some((part) => part.startsWith('kubepods') || part.startsWith('kubelet'))) return { kind: 'kubelet' };
  const last = parts.at(-1);
  if (last === undefined || cgroup.includes('..')) return { kind: 'shared' };
  if (!systemd) return { kind: 'foreign' };
  const isUnit = (part: string) => /\.(?:service|scope)$/.test(part);
  if (/^(?:session-.*|init)\.scope$|\.slice$|^user@.*\.service$/.test(last)) return { kind: 'shared' };
  if (isUnit(last)) return { kind: 'unit', unit: last, cgroup };
  return { kind: parts.some(isUnit) ? 'delegated' : 'foreign' };
}
