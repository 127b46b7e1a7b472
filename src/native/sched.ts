import { constants } from 'node:os';
import { checked, lastErrno, libc } from './libc.ts';
import { NativeError } from './native-error.ts';

const SMALLEST_MASK_BYTES = 128;
/** 65,536 CPUs: more than any kernel can be built for. */
const LARGEST_MASK_BYTES = 8192;

/** The calling thread's id. */
export const currentTid = (): number => libc().gettid();

/**
 * The CPUs that a thread may run on, ascending.
 * @param tid a thread's id; 0 is the calling thread
 * @throws NativeError ESRCH when there is no such thread
 */
export function affinityOf(tid: number): number[] {
  for (let bytes = SMALLEST_MASK_BYTES; ; bytes *= 2) {
    const mask = new Uint8Array(bytes);
    if (libc().sched_getaffinity(tid, bytes, mask) === 0) return cpusOf(mask);
    const errno = lastErrno();
    // The kernel's masks are longer than this one.
    if (errno === constants.errno.EINVAL && bytes < LARGEST_MASK_BYTES) continue;
    throw new NativeError(`read the affinity of thread ${tid}`, errno);
  }
}

/**
 * Lets a thread run on these CPUs alone; the kernel leaves out those that do not exist or that its cpuset does not have.
 * @param tid a thread's id; 0 is the calling thread
 * @throws NativeError ESRCH when there is no such thread, EINVAL when no CPU is left
 */
export function setAffinity(tid: number, cpus: readonly number[]): void {
  const mask = maskOf(cpus);
  checked(`set the affinity of thread ${tid}`, libc().sched_setaffinity(tid, mask.length, mask));
}

/** Ordinary threads, and those that run before all of them. */
export type SchedulingClass = 'normal' | 'fifo' | 'other';

const SCHED_NORMAL = 0;
const SCHED_FIFO = 1;
const SCHED_RESET_ON_FORK = 0x4000_0000;
const PRIO_PROCESS = 0;

/** @param tid a thread's id; 0 is the calling thread */
export function schedulingOf(tid: number): SchedulingClass {
  const policy = checked(`read the scheduling of thread ${tid}`, libc().sched_getscheduler(tid)) & ~SCHED_RESET_ON_FORK;
  return policy === SCHED_NORMAL ? 'normal' : policy === SCHED_FIFO ? 'fifo' : 'other';
}

/**
 * From now on the thread runs as soon as it can, before every ordinary one. Threads that it starts are ordinary.
 * @param tid a thread's id; 0 is the calling thread
 * @param priority 1 (the lowest of the real-time priorities) to 99
 * @throws NativeError EPERM without CAP_SYS_NICE, or where the control group has no real-time share
 */
export function setFifo(tid: number, priority: number): void {
  const parameters = new Int32Array([priority]);
  const result = libc().sched_setscheduler(tid, SCHED_FIFO | SCHED_RESET_ON_FORK, parameters);
  checked(`make thread ${tid} a real-time thread`, result);
}

/**
 * @param tid a thread's id; 0 is the calling thread
 * @param nice -20 (favoured) to 19
 * @throws NativeError EACCES without CAP_SYS_NICE
 */
export function setNice(tid: number, nice: number): void {
  checked(`set the nice value of thread ${tid}`, libc().setpriority(PRIO_PROCESS, tid, nice));
}

/** A cpu_set_t: bit i of the mask is CPU i, bytes ascending as on little-endian machines. */
export function maskOf(cpus: readonly number[]): Uint8Array {
  for (const cpu of cpus) {
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= LARGEST_MASK_BYTES * 8) {
      throw new RangeError(`no CPU has the number ${cpu}`);
    }
  }
  const highest = cpus.reduce((most, cpu) => Math.max(most, cpu), 0);
  const mask = new Uint8Array(Math.max(SMALLEST_MASK_BYTES, Math.ceil((highest + 1) / 64) * 8));
  for (const cpu of cpus) mask[cpu >> 3]! |= 1 << (cpu & 7);
  return mask;
}

/** The inverse of `maskOf`. */
export function cpusOf(mask: Uint8Array): number[] {
  return Array.from({ length: mask.length * 8 }, (_, cpu) => cpu).filter((cpu) => mask[cpu >> 3]! & (1 << (cpu & 7)));
}
