import koffi from 'koffi';
import { lastErrno, libc } from './libc.ts';
import { NativeError } from './native-error.ts';
import { Scope } from './scope.ts';

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

interface AddressRange {
  readonly address: bigint;
  readonly length: number;
}

const unmap = ({ address, length }: AddressRange): void => {
  libc().munmap(address, length);
};

/** Gives an address range back once no view of it can be reached any more. */
const closedRanges = new FinalizationRegistry<AddressRange>(unmap);

/**
 * Memory of the kernel, shared with this process.
 *
 * JavaScript may hold typed arrays over `buffer` for as long as it likes, and touching unmapped memory would end the
 * process. So close() does not unmap what has been handed out: it puts private pages of zeros in its place, in one step,
 * which lets go of the kernel's memory, and the address range is given back when the garbage collector has found the
 * buffer unreachable. A stale view reads zeros and its writes go nowhere.
 *
 * A write through a view of a read-only mapping ends the process (SIGSEGV), as in C. The buffer must not be transferred.
 */
export class MappedMemory {
  readonly #scope: Scope;
  readonly #range: AddressRange;
  #buffer: ArrayBuffer | undefined;

  /** @throws NativeError when the kernel refuses the mapping */
  constructor(fd: number, options: { what: string; length: number; writable: boolean; onClose?: () => void }) {
    const { what, length, writable } = options;
    const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    const address = libc().mmap(null, length, protection, MAP_SHARED, fd, 0);
    if (address === null || address === MAP_FAILED) throw new NativeError(`mmap ${what}`, lastErrno());
    this.#range = { address, length };
    this.#scope = new Scope(`memory of ${what}`, () => {
      this.#release();
      options.onClose?.();
    });
  }

  /** The memory itself, live. @throws Error when closed */
  get buffer(): ArrayBuffer {
    this.#scope.assertOpen();
    return (this.#buffer ??= koffi.view(this.#range.address, this.#range.length));
  }

  close(): void {
    this.#scope.close();
  }

  #release(): void {
    if (this.#buffer === undefined) {
      unmap(this.#range);
      return;
    }
    const { address, length } = this.#range;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    if (libc().mmap(address, length, PROT_READ | PROT_WRITE, flags, -1, 0) === MAP_FAILED) {
      throw new NativeError(`withdraw ${this.#scope.what}`, lastErrno());
    }
    closedRanges.register(this.#buffer, this.#range);
    this.#buffer = undefined;
  }
}
