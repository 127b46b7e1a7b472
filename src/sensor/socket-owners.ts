import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { listeningSockets, socketsOf } from './listening-ports.ts';

/**
 * The processes that hold a socket on which these ports are listened on, in this network namespace, at this moment: a server
 * with its workers. Takes time for each descriptor of each process on the machine.
 * @returns by port, ascending
 */
export function processesListeningOn(
  ports: ReadonlySet<number>,
  proc = '/proc',
): ReadonlyMap<number, readonly number[]> {
  const listening = listeningSockets(join(proc, 'self')).filter(({ port }) => ports.has(port));
  const portOf = new Map(listening.map(({ inode, port }) => [inode, port]));
  const owners = new Map<number, number[]>();
  if (portOf.size === 0) return owners;
  const pids = readdirSync(proc)
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  for (const pid of pids.sort((a, b) => a - b)) {
    const held = new Set(socketsOf(join(proc, `${pid}`)).flatMap((inode) => portOf.get(inode) ?? []));
    for (const port of held) owners.set(port, [...(owners.get(port) ?? []), pid]);
  }
  return owners;
}
