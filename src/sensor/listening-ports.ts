import { readFileSync } from 'node:fs';

const LISTEN = '0A';
const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];

/** The TCP ports that something listens on in this network namespace, at this moment. */
export function listeningPorts(): ReadonlySet<number> {
  return new Set(TABLES.flatMap((file) => parseListening(readTable(file))));
}

/** The text of /proc/net/tcp or tcp6, see proc(5). */
export function parseListening(table: string): readonly number[] {
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === LISTEN)
    .map((fields) => Number.parseInt(fields[1]!.slice(fields[1]!.lastIndexOf(':') + 1), 16));
}

/** Empty where the kernel has no IPv6. */
function readTable(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
