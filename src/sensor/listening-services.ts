import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { listeningPorts } from './listening-ports.ts';
import { processesListeningOn } from './socket-owners.ts';
import { unlessGone } from './unless-gone.ts';

/** A port that is listened on, and who does. */
export interface ListeningService {
  readonly port: number;
  /** Ascending; empty where we may not look into the processes that hold the socket. */
  readonly pids: readonly number[];
  /** What these processes are called, each name once. */
  readonly programs: readonly string[];
}

/** Every TCP port that is listened on in this network namespace, at this moment, ascending. */
export function listeningServices(proc = '/proc'): readonly ListeningService[] {
  const ports = listeningPorts();
  const owners = processesListeningOn(ports, proc);
  return [...ports]
    .sort((a, b) => a - b)
    .map((port) => {
      const pids = owners.get(port) ?? [];
      const programs = pids.flatMap((pid) => programOf(join(proc, `${pid}`)) ?? []);
      return { port, pids, programs: [...new Set(programs)] };
    });
}

/** Node 24 calls its main thread `MainThread`, and the process with it: then the command's name says more. */
function programOf(process: string): string | undefined {
  const read = (file: string) => unlessGone(() => readFileSync(join(process, file), 'utf8'));
  const name = read('comm')?.trim();
  return name === 'MainThread' ? basename(read('cmdline')?.split('\0')[0] ?? name) : name;
}
