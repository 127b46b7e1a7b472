import { arch, constants, endianness } from 'node:os';
import { Descriptor } from './descriptor.ts';
import { checked, lastErrno, libc } from './libc.ts';
import { NativeError } from './native-error.ts';

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;

/** struct epoll_event { u32 events; u64 data } is packed on x86-64 alone. */
const DATA_OFFSET = arch() === 'x64' ? 4 : 8;
const EVENT_BYTES = DATA_OFFSET + 8;
const LITTLE_ENDIAN = endianness() === 'LE';

/** Waits for several descriptors at once, blocking the thread that calls. A token says which one is ready. */
export class Epoll<Token = number> {
  readonly #descriptor = new Descriptor('epoll', checked('create an epoll', libc().epoll_create1(EPOLL_CLOEXEC)));
  readonly #tokens = new Map<number, Token>();
  #events = new DataView(new ArrayBuffer(0));

  /** Watches a descriptor until it is readable, level-triggered. */
  add(fd: number, token: Token): void {
    this.#control(EPOLL_CTL_ADD, `add descriptor ${fd} to the epoll`, fd);
    this.#tokens.set(fd, token);
  }

  remove(fd: number): void {
    this.#control(EPOLL_CTL_DEL, `remove descriptor ${fd} from the epoll`, fd);
    this.#tokens.delete(fd);
  }

  /**
   * @param timeoutMs whole milliseconds; 0 only looks, -1 waits for ever
   * @param max how many tokens at most
   * @returns the tokens of what is readable; none when the time is up, or when a signal came first
   */
  wait(timeoutMs: number, max = 16): Token[] {
    if (this.#events.byteLength < max * EVENT_BYTES) this.#events = new DataView(new ArrayBuffer(max * EVENT_BYTES));
    const events = this.#events;
    const count = libc().epoll_wait(this.#descriptor.fd, events, max, timeoutMs);
    if (count < 0) {
      const errno = lastErrno();
      if (errno === constants.errno.EINTR) return [];
      throw new NativeError('wait for an epoll', errno);
    }
    const ready: Token[] = [];
    for (let index = 0; index < count; index++) {
      const fd = events.getInt32(index * EVENT_BYTES + DATA_OFFSET, LITTLE_ENDIAN);
      if (this.#tokens.has(fd)) ready.push(this.#tokens.get(fd)!);
    }
    return ready;
  }

  close(): void {
    this.#descriptor.close();
  }

  #control(command: number, operation: string, fd: number): void {
    const event = new DataView(new ArrayBuffer(EVENT_BYTES));
    event.setUint32(0, EPOLLIN, LITTLE_ENDIAN);
    event.setInt32(DATA_OFFSET, fd, LITTLE_ENDIAN);
    checked(operation, libc().epoll_ctl(this.#descriptor.fd, command, fd, event));
  }
}
