import koffi from 'koffi';
import { bind, lazy } from './ffi.ts';
import { NativeError } from './native-error.ts';

/** The C library's functions that this room uses; 64-bit Linux alone (the layouts of its structs are). */
export const libc = lazy(() =>
  bind(koffi.load('libc.so.6'), {
    close: ['int', 'int'],
    read: ['int64_t', 'int', 'void *', 'size_t'],
    free: ['void', 'void *'],
    madvise: ['int', 'uint64_t', 'size_t', 'int'],
    malloc_trim: ['int', 'size_t'],
    mallopt: ['int', 'int', 'int'],
    memcpy: ['void *', 'void *', 'void *', 'size_t'],
    mmap: ['void *', 'void *', 'size_t', 'int', 'int', 'int', 'int64_t'],
    munmap: ['int', 'void *', 'size_t'],
    vasprintf: ['int', 'void *', 'void *', 'void *'],
    epoll_create1: ['int', 'int'],
    epoll_ctl: ['int', 'int', 'int', 'int', 'void *'],
    epoll_wait: ['int', 'int', 'void *', 'int', 'int'],
    timerfd_create: ['int', 'int', 'int'],
    timerfd_settime: ['int', 'int', 'int', 'void *', 'void *'],
    eventfd: ['int', 'uint32_t', 'int'],
    flock: ['int', 'int', 'int'],
    gettid: ['int'],
    sched_getaffinity: ['int', 'int', 'size_t', 'void *'],
    sched_setaffinity: ['int', 'int', 'size_t', 'void *'],
    sched_getscheduler: ['int', 'int'],
    sched_setscheduler: ['int', 'int', 'int', 'void *'],
    setpriority: ['int', 'int', 'int', 'int'],
    pthread_sigmask: ['int', 'int', 'void *', 'void *'],
    socket: ['int', 'int', 'int', 'int'],
    sendto: ['int64_t', 'int', 'void *', 'size_t', 'int', 'void *', 'uint32_t'],
  }),
);

/** The errno of the call that just failed. Ask before any other call. */
export const lastErrno = (): number => koffi.errno();

/** @returns `result` unless it is negative. @throws NativeError */
export function checked(operation: string, result: number): number {
  if (result < 0) throw new NativeError(operation, lastErrno());
  return result;
}

/** Copies `length` bytes from a C address. */
export function copyFrom(address: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  libc().memcpy(bytes, address, length);
  return bytes;
}
