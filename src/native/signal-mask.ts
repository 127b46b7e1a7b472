import { constants } from 'node:os';
import { libc } from './libc.ts';
import { NativeError } from './native-error.ts';

const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
/** sigset_t of glibc: 1,024 bits, bit i stands for signal i + 1. */
const MASK_BYTES = 128;

/** What the thread itself does wrong: held back, it would end the process with no word about why. */
const OF_THE_THREAD_ITSELF = ['SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGTRAP', 'SIGSYS', 'SIGABRT'] as const;

/**
 * Runs `act` with the calling thread's signals held back until it is done: other threads take those that are for the process.
 * For system calls that give up with EAGAIN or EINTR when a signal is pending.
 */
export function holdingSignals<T>(act: () => T): T {
  const held = new Uint8Array(MASK_BYTES).fill(0xff);
  for (const name of OF_THE_THREAD_ITSELF) {
    const bit = constants.signals[name] - 1;
    held[bit >> 3]! &= ~(1 << (bit & 7));
  }
  const before = new Uint8Array(MASK_BYTES);
  setMask(SIG_BLOCK, held, before);
  try {
    return act();
  } finally {
    setMask(SIG_SETMASK, before, null);
  }
}

function setMask(how: number, mask: Uint8Array, before: Uint8Array | null): void {
  const errno = libc().pthread_sigmask(how, mask, before);
  if (errno !== 0) throw new NativeError("set the thread's signal mask", errno);
}
