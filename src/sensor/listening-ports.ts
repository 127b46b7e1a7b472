import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { unlessGone } from './unless-gone.ts';

const LISTEN = '0A';
/** A UDP socket that takes datagrams of any peer. */
const UNCONNECTED = '07';
const TABLES = { tcp: ['net/tcp', 'net/tcp6'], udp: ['net/udp', 'net/udp6'] };

/** A socket that listens: its local port, and its inode, by which processes' descriptors name it. */
export interface ListeningSocket {
  readonly port: number;
  readonly inode: number;
}

/** A port of a network namespace. */
export interface Listener {
  readonly netns: number;
  readonly port: number;
}

/** The TCP ports that something listens on in this network namespace, at this moment. */
export function listeningPorts(): ReadonlySet<number> {
  return new Set(listeningSockets('/proc/self').map(({ port }) => port));
}

/** The UDP ports that something takes datagrams at in this network namespace, at this moment. */
export function boundUdpPorts(): ReadonlySet<number> {
  return new Set(socketsIn('/proc/self', TABLES.udp, UNCONNECTED).map(({ port }) => port));
}

/** The text of /proc/net/tcp or one like it, see proc(5). */
export function parseListening(table: string, state = LISTEN): readonly ListeningSocket[] {
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === state)
    .map((fields) => ({
      port: Number.parseInt(fields[1]!.slice(fields[1]!.lastIndexOf(':') + 1), 16),
      inode: Number(fields[9]),
    }));
}

/**
 * Where these processes listen: the listening sockets among their descriptors. Takes time for each descriptor of theirs
 * and, once a namespace, for each TCP socket in it.
 */
export function listenersOf(pids: Iterable<number>, proc = '/proc'): readonly Listener[] {
  const portsOfNetns = new Map<number, ReadonlyMap<number, number>>();
  const found = new Map<string, Listener>();
  for (const pid of pids) {
    const process = join(proc, `${pid}`);
    const netns = netnsOf(join(process, 'ns/net'));
    if (netns === undefined) continue;
    let ports = portsOfNetns.get(netns);
    if (ports === undefined) {
      ports = new Map(listeningSockets(process).map(({ inode, port }) => [inode, port]));
      portsOfNetns.set(netns, ports);
    }
    if (ports.size === 0) continue;
    for (const inode of socketsOf(process)) {
      const port = ports.get(inode);
      if (port !== undefined) found.set(`${netns}:${port}`, { netns, port });
    }
  }
  return [...found.values()];
}

/** The number of the network namespace that a file stands for; undefined where there is no such file. */
export function netnsOf(file: string): number | undefined {
  return unlessGone(() => statSync(file).ino);
}

/** What listens in the network namespace of a process, by its folder; empty where it has ended, or the kernel has no IPv6. */
export function listeningSockets(process: string): readonly ListeningSocket[] {
  return socketsIn(process, TABLES.tcp, LISTEN);
}

function socketsIn(process: string, tables: readonly string[], state: string): readonly ListeningSocket[] {
  return tables.flatMap((file) =>
    parseListening(unlessGone(() => readFileSync(join(process, file), 'latin1')) ?? '', state),
  );
}

/** The sockets among a process's descriptors, by their inodes; the process by its folder. */
export function socketsOf(process: string): readonly number[] {
  const directory = join(process, 'fd');
  return (unlessGone(() => readdirSync(directory)) ?? []).flatMap((descriptor) => {
    const link = unlessGone(() => readlinkSync(join(directory, descriptor)));
    const inode = /^socket:\[(\d+)\]$/.exec(link ?? '')?.[1];
    return inode === undefined ? [] : [Number(inode)];
  });
}
