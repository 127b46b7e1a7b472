import { existsSync } from 'node:fs';
import type { ServicePlace } from '../core/service-place.ts';
import type { ServiceConfig } from '../policy/load-config.ts';
import { CgroupTree, unitName } from '../sensor/cgroup-tree.ts';
import { descendants } from '../sensor/process-tree.ts';
import { processesListeningOn } from '../sensor/socket-owners.ts';

/**
 * Where the services run now: the members of a unit, a cgroup or a container, a process and its descendants, or the processes
 * that hold the listening sockets, as far as we may look; and those that the sensor has seen at work. The first are there
 * before any request; the others take no right to look into other users' processes.
 */
export function locateServices(
  services: readonly (Pick<ServiceConfig, 'name' | 'target'> & Partial<Pick<ServiceConfig, 'protocol'>>)[],
  readers: ReadonlyMap<string, readonly number[]>,
  cgroups = new CgroupTree(),
): ReadonlyMap<string, ServicePlace> {
  // Who holds a port of TCP says nothing of the same of UDP.
  const byTcp = services.filter(({ protocol }) => protocol !== 'udp');
  const owners = processesListeningOn(new Set(byTcp.flatMap(({ target }) => target.ports ?? [])));
  return new Map(
    services.map(({ name, target, protocol }) => {
      const { pids, ...place } = placeOf(target, cgroups, protocol === 'udp' ? new Map() : owners);
      const working = (readers.get(name) ?? []).filter((pid) => existsSync(`/proc/${pid}`));
      return [name, { ...place, pids: [...new Set([...pids, ...working])].sort((a, b) => a - b) }];
    }),
  );
}

function placeOf(
  { ports = [], pid, unit, cgroup, container }: ServiceConfig['target'],
  cgroups: CgroupTree,
  owners: ReadonlyMap<number, readonly number[]>,
): ServicePlace {
  const members = (directory: string | undefined) => (directory === undefined ? [] : cgroups.processes(directory));
  if (unit !== undefined) {
    return { unit: unitName(unit), pids: members(cgroups.directoryOfUnit(unit)) };
  }
  if (cgroup !== undefined) {
    const directory = cgroups.directoryOf(cgroup);
    const path = directory === undefined ? undefined : cgroups.pathOf(directory);
    return { ...(path === undefined ? {} : { cgroup: path }), pids: members(directory) };
  }
  if (container !== undefined) return { pids: members(cgroups.directoryOfContainer(container)) };
  if (pid !== undefined) return { pids: descendants(pid) };
  return { pids: ports.flatMap((port) => owners.get(port) ?? []) };
}
