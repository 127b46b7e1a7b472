import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  type Stats,
} from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';

/** Larger than any law. */
const LARGEST_BYTES = 1024 * 1024;
/** As many as the kernel follows. */
const MOST_LINKS = 40;
const WRITABLE_BY_OTHERS = 0o022;

/**
 * Reads a file that this process is about to execute. For root that takes a file which root owns, behind directories and
 * symbolic links that root owns, none of which anybody else can write: else whoever can write one of them is root. What is
 * checked is what is read: the descriptor's own status counts, and where nobody but root can change a name, it stays.
 *
 * @param trust false: read what is there, for a process that has no more rights than whoever wrote the file
 * @throws Error
 */
export function readTrustedFile(file: string, trust: boolean): string {
  const path = trust ? trustedPath(resolve(file)) : realpathSync(file);
  // Not a FIFO, which would be waited for, and not a link that has just taken the file's place.
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile()) throw new Error(`${path} is not a regular file`);
    if (status.size > LARGEST_BYTES) throw new Error(`it has ${status.size} bytes, expected at most ${LARGEST_BYTES}`);
    if (trust) refuseUntrusted(path, status);
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

/** Follows every link itself, and checks each directory before it looks into it. @returns the path without links */
function trustedPath(path: string): string {
  let pending = path.split('/').filter((part) => part !== '');
  let reached = '/';
  let links = 0;
  refuseUntrusted(reached, lstatSync(reached));
  while (pending.length > 0) {
    const [part, ...rest] = pending as [string, ...string[]];
    pending = rest;
    if (part === '.') continue;
    if (part === '..') {
      reached = dirname(reached);
      continue;
    }
    const next = join(reached, part);
    const status = lstatSync(next);
    if (status.isSymbolicLink()) {
      // Its permissions mean nothing: the directory that it is in, which has been checked, says who can change it.
      if (++links > MOST_LINKS) throw new Error(`${path} has more than ${MOST_LINKS} links in its way`);
      const target = readlinkSync(next);
      pending = [...target.split('/').filter((name) => name !== ''), ...pending];
      if (isAbsolute(target)) reached = '/';
      continue;
    }
    if (pending.length > 0) refuseUntrusted(next, status);
    reached = next;
  }
  return reached;
}

function refuseUntrusted(path: string, { uid, mode }: Stats): void {
  if (uid !== 0) throw new Error(`${path} belongs to user ${uid}, and must belong to root`);
  if ((mode & WRITABLE_BY_OTHERS) === 0) return;
  const shown = (mode & 0o7777).toString(8);
  throw new Error(`${path} can be written by others than root (mode ${shown}), expected it without go+w`);
}
