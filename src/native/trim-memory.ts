import { libc } from './libc.ts';

/** Options of mallopt(3). */
const M_TRIM_THRESHOLD = -1;
const M_MMAP_THRESHOLD = -3;
/** Where both begin. */
const THRESHOLD_BYTES = 128 * 1024;

/** Gives back to the kernel what malloc(3) keeps for later. Takes a ms or so; see malloc_trim(3). */
export function trimMemory(): void {
  libc().malloc_trim(0);
}

/**
 * From now on malloc(3) gives back what is freed at the end of its memory. Left alone it keeps the more the larger what was
 * freed, up to 64 MB: with V8's compilers, which take some MB for a moment, it never gives anything back.
 */
export function keepMemoryTrimmed(): void {
  libc().mallopt(M_TRIM_THRESHOLD, THRESHOLD_BYTES);
  libc().mallopt(M_MMAP_THRESHOLD, THRESHOLD_BYTES);
}
