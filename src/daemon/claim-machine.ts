import { closeSync, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../core/errors.ts';
import { tryLock } from '../native/flock.ts';

/** Every machine has this file, and a lock on it keeps nobody from reading it. */
const FILE = 'devices/system/cpu/online';

/**
 * One daemon governs a machine, whatever its runtime directory: two would take each other's settings for the operator's. The
 * kernel lets go of the claim when the process ends, however it does.
 *
 * @param warn told of a lock that is no daemon's
 * @returns ends the claim
 * @throws UsageError with the process that has claimed it
 */
export function claimMachine(sysfsRoot: string, warn: (message: string) => void): () => void {
  const path = join(sysfsRoot, FILE);
  const fd = openOrNull(path);
  // What there is to govern is for others to say.
  if (fd === null) return () => undefined;
  if (tryLock(fd)) return () => closeSync(fd);
  const holder = holderOf(fstatSync(fd).ino);
  closeSync(fd);
  // Anybody may lock a file that they can read: that must not keep the daemon from starting.
  if (holder !== null && holder.uid !== 0 && holder.uid !== process.geteuid?.()) {
    warn(`process ${holder.pid} of user ${holder.uid} holds a lock on ${path}: no daemon of ours, passed over`);
    return () => undefined;
  }
  const who = holder === null ? 'another process' : `a daemon with pid ${holder.pid}`;
  throw new UsageError(
    `${who} already governs the machine below ${sysfsRoot}: stop it first (it holds a lock on ${path})`,
  );
}

function openOrNull(path: string): number | null {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** See proc_locks(5): `1: FLOCK ADVISORY WRITE 708 00:13:12345 0 EOF`. @returns null where it is not to be seen from here */
function holderOf(inode: number): { readonly pid: number; readonly uid: number } | null {
  const lines = readFileSync('/proc/locks', 'utf8').split('\n');
  const held = lines.map((line) => /^\d+: FLOCK +\S+ +WRITE (\d+) \S+:(\d+) /.exec(line));
  const pid = Number(held.find((match) => Number(match?.[2]) === inode)?.[1] ?? 0);
  const owner = statSync(`/proc/${pid}`, { throwIfNoEntry: false });
  return pid === 0 || owner === undefined ? null : { pid, uid: owner.uid };
}
