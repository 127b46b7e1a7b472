import { readFileSync } from 'node:fs';
import { isAbsent } from './absent.ts';

/** Process numbers are used again; together with the start time they name one process of this boot. */
export interface ProcessIdentity {
  readonly pid: number;
  /** In clock ticks since the boot (field 22 of /proc/PID/stat). */
  readonly startTicks: number;
}

/** @returns null where no such process runs; one that has ended and waits for its parent runs no more. */
export function identityOf(pid: number): ProcessIdentity | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
  // The second field is the command in parentheses, which may contain anything; the third is the state.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? null : { pid, startTicks: Number(fields[19]) };
}

export function isRunning({ pid, startTicks }: ProcessIdentity): boolean {
  return identityOf(pid)?.startTicks === startTicks;
}
