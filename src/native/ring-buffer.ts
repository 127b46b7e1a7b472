import koffi from 'koffi';
import type { BpfMap } from './bpf-map.ts';
import { complaintIn } from './complaint.ts';
import { libbpf } from './libbpf-functions.ts';
import { withLibbpfLog } from './libbpf-log.ts';
import { copyFrom, lastErrno } from './libc.ts';
import { NativeError } from './native-error.ts';
import { Scope } from './scope.ts';

/** ring_buffer_sample_fn: context, data, size. */
const SAMPLE_FUNCTION = koffi.pointer(koffi.proto('int', ['void *', 'void *', 'size_t']));

/** The reading end of a BPF_MAP_TYPE_RINGBUF map. It is closed with the map's object, at the latest. */
export class RingBuffer {
  readonly #scope: Scope;
  readonly #address: bigint;
  readonly #onRecord: (bytes: Uint8Array) => void;
  /** Taken from the kernel, not handed out yet. */
  readonly #pending: Uint8Array[] = [];

  /** @param onRecord gets a copy of each record, from consume() */
  constructor(map: BpfMap, onRecord: (bytes: Uint8Array) => void) {
    this.#onRecord = onRecord;
    const take = (_context: bigint | null, data: bigint, size: number): number => {
      this.#pending.push(copyFrom(data, size));
      return 0;
    };
    const { fd } = map;
    const registered = koffi.register(take, SAMPLE_FUNCTION);
    const { result, said } = withLibbpfLog(
      undefined,
      () => libbpf().ring_buffer__new(fd, registered, null, null) ?? lastErrno(),
    );
    if (typeof result === 'number') {
      koffi.unregister(registered);
      throw new NativeError(`open ring buffer '${map.name}'`, result, { detail: complaintIn(said), log: said });
    }
    const address = result;
    this.#address = address;
    this.#scope = new Scope(`ring buffer '${map.name}'`, () => {
      libbpf().ring_buffer__free(address);
      koffi.unregister(registered);
      map.scope.forget(this);
    });
    map.scope.adopt(this);
  }

  /** Readable while records wait; fit for epoll. */
  get epollFd(): number {
    this.#scope.assertOpen();
    return libbpf().ring_buffer__epoll_fd(this.#address);
  }

  /**
   * Hands every waiting record to `onRecord`, without blocking. When that throws, the rest waits for the next call;
   * when it closes the ring buffer, the rest is dropped.
   * @returns how many records were handed out
   */
  consume(): number {
    this.#scope.assertOpen();
    // The records are copied first: `onRecord` may close the ring buffer, which libbpf must not be inside of then.
    const result = libbpf().ring_buffer__consume(this.#address);
    if (result < 0) throw new NativeError(`read ${this.#scope.what}`, -result);
    let handedOut = 0;
    try {
      while (!this.#scope.closed && handedOut < this.#pending.length) this.#onRecord(this.#pending[handedOut++]!);
    } finally {
      // At once: taking them off the front one by one would move all the others each time.
      this.#pending.splice(0, handedOut);
    }
    return handedOut;
  }

  close(): void {
    this.#scope.close();
  }
}
