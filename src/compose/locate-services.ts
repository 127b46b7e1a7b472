import type { ServicePlace } from '../core/service-place.ts';
import type { ServiceConfig } from '../policy/load-config.ts';
import { CgroupTree } from '../sensor/cgroup-tree.ts';
import { descendants } from '../sensor/process-tree.ts';
import { processesListeningOn } from '../sensor/socket-owners.ts';

/**
 * Where the services run now: the members of a unit, a cgroup or a container, a process and its descendants, or else the
 * processes that hold the listening sockets. Of a Unix socket they are not known.
 */
export function locateServices(
  services: readonly Pick<ServiceConfig, 'name' | 'target'>[],
  cgroups = new CgroupTree(),
): ReadonlyMap<string, ServicePlace> {
  const owners = processesListeningOn(new Set(services.flatMap(({ target }) => target.ports ?? [])));
  return new Map(services.map(({ name, target }) => [name, placeOf(target, cgroups, owners)]));
}

function placeOf(
  { ports = [], pid, unit, cgroup, container }: ServiceConfig['target'],
  cgroups: CgroupTree,
  owners: ReadonlyMap<number, readonly number[]>,
): ServicePlace {
  const members = (directory: string | undefined) =>
    directory === undefined ? [] : ascending(cgroups.processes(directory));
  if (unit !== undefined) {
    const name = unit.includes('.') ? unit : `${unit}.service`;
    return { unit: name, pids: members(cgroups.directoryOfUnit(unit)) };
  }
  if (cgroup !== undefined) {
    const directory = cgroups.directoryOf(cgroup);
    const path = directory === undefined ? undefined : cgroups.pathOf(directory);
    return { ...(path === undefined ? {} : { cgroup: path }), pids: members(directory) };
  }
  if (container !== undefined) return { pids: members(cgroups.directoryOfContainer(container)) };
  if (pid !== undefined) return { pids: ascending(descendants(pid)) };
  return { pids: ascending(ports.flatMap((port) => owners.get(port) ?? [])) };
}

const ascending = (pids: readonly number[]): readonly number[] => [...new Set(pids)].sort((a, b) => a - b);
