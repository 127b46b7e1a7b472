import { constants } from 'node:os';
import { Descriptor } from './descriptor.ts';
import { checked, lastErrno, libc } from './libc.ts';
import { NativeError } from './native-error.ts';

const CLOCK_MONOTONIC = 1;
const TFD_NONBLOCK = 0o4000;
const TFD_CLOEXEC = 0o2000000;
const TFD_TIMER_ABSTIME = 1;
const NS_PER_S = 1_000_000_000n;

/** A timer on CLOCK_MONOTONIC, the clock of process.hrtime.bigint(), as a descriptor that epoll can wait for. */
export class Timer {
  readonly #descriptor = new Descriptor(
    'timer',
    checked('create a timer', libc().timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)),
  );
  readonly #expirations = new BigUint64Array(1);
  /** struct itimerspec: the interval, then the time, each in seconds and nanoseconds. */
  readonly #setting = new BigInt64Array(4);

  /** Readable from an expiration until readExpirations(). */
  get fd(): number {
    return this.#descriptor.fd;
  }

  /** Expires once, at that time, in place of what was set before; at once when it has passed. Forgets earlier expirations. */
  armAt(absoluteMonotonicNs: bigint): void {
    // A time of 0 would disarm the timer.
    const timeNs = absoluteMonotonicNs > 0n ? absoluteMonotonicNs : 1n;
    this.#set(timeNs);
  }

  disarm(): void {
    this.#set(0n);
  }

  /** How often the timer has expired since it was armed or last read; 0 when it has not. */
  readExpirations(): number {
    if (libc().read(this.fd, this.#expirations, this.#expirations.byteLength) < 0) {
      const errno = lastErrno();
      if (errno === constants.errno.EAGAIN) return 0;
      throw new NativeError('read a timer', errno);
    }
    return Number(this.#expirations[0]);
  }

  close(): void {
    this.#descriptor.close();
  }

  #set(timeNs: bigint): void {
    this.#setting[2] = timeNs / NS_PER_S;
    this.#setting[3] = timeNs % NS_PER_S;
    checked('set a timer', libc().timerfd_settime(this.fd, TFD_TIMER_ABSTIME, this.#setting, null));
  }
}
