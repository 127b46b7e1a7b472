import type { CpuPlace, Machine } from '../core/machine.ts';
import type { CpuId } from '../core/units.ts';

/** The CPUs of one physical core that may be given away, and where it is. */
export interface PhysicalCore {
  readonly cpus: readonly CpuId[];
  readonly node: number;
  readonly package: number;
}

/**
 * The online cores in the order in which they are filled: package by package, node by node, and the hardware threads of a core
 * together, since two busy threads share one core's clock and caches whichever service they belong to.
 * @param reserved CPUs that stay out; a core all of whose CPUs are reserved is left out
 */
export function physicalCores(machine: Machine, reserved: readonly number[] = []): readonly PhysicalCore[] {
  const outside = new Set(reserved);
  const online = new Set(machine.cpus);
  const places = machine.places ?? machine.cpus.map((cpu): CpuPlace => ({ cpu, core: cpu, node: 0, package: 0 }));
  const byCore = new Map<string, CpuPlace[]>();
  const inOrder = places
    .filter(({ cpu }) => online.has(cpu) && !outside.has(cpu))
    .sort((a, b) => a.package - b.package || a.node - b.node || a.core - b.core || a.cpu - b.cpu);
  for (const place of inOrder) {
    const key = `${place.package} ${place.node} ${place.core}`;
    const members = byCore.get(key) ?? [];
    members.push(place);
    byCore.set(key, members);
  }
  return [...byCore.values()].map((members) => ({
    cpus: members.map(({ cpu }) => cpu),
    node: members[0]!.node,
    package: members[0]!.package,
  }));
}
