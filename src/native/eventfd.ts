import { writeSync } from 'node:fs';
import { constants } from 'node:os';
import { Descriptor } from './descriptor.ts';
import { checked, lastErrno, libc } from './libc.ts';
import { NativeError } from './native-error.ts';

const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** A counter behind a descriptor, by which one thread wakes another that waits in epoll. */
export class EventFd {
  readonly #descriptor: Descriptor;
  readonly #count = new BigUint64Array(1);

  /** @param fd an eventfd that another thread of this process has made; it stays that thread's, close() leaves it open */
  constructor(fd?: number) {
    this.#descriptor =
      fd === undefined
        ? new Descriptor('eventfd', checked('create an eventfd', libc().eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)))
        : new Descriptor('eventfd', fd, 'borrowed');
  }

  /** Readable from a notification until drain(). */
  get fd(): number {
    return this.#descriptor.fd;
  }

  notify(): void {
    writeSync(this.fd, ONE);
  }

  /** How often notify() was called since the last drain(). */
  drain(): number {
    if (libc().read(this.fd, this.#count, this.#count.byteLength) < 0) {
      const errno = lastErrno();
      if (errno === constants.errno.EAGAIN) return 0;
      throw new NativeError('read an eventfd', errno);
    }
    return Number(this.#count[0]);
  }

  close(): void {
    this.#descriptor.close();
  }
}
