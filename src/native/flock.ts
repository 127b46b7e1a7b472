import { constants } from 'node:os';
import { lastErrno, libc } from './libc.ts';
import { NativeError } from './native-error.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Locks the open file for this descriptor alone, see flock(2); closing it, or the end of the process, lets go of it.
 * @returns false where another descriptor holds it. @throws NativeError
 */
export function tryLock(fd: number): boolean {
  if (libc().flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const errno = lastErrno();
  if (errno === constants.errno.EWOULDBLOCK) return false;
  throw new NativeError('lock a file', errno);
}
