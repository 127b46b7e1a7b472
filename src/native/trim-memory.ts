import { readFileSync } from 'node:fs';
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

/** To madvise(2). */
const MADV_DONTNEED = 4;

/** The first line of a mapping in /proc/self/smaps, of what is mapped from a file and cannot be written: proc_pid_smaps(5). */
const MAPPED_FILE = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ \S+ [1-9]\d* +\//;

/**
 * Lets go of the pages of programs and libraries that are mapped from their files: many were used by the start alone. What runs on
 * is fetched again, mostly from the page cache, which keeps them all until the machine needs the memory. What a mapping has
 * changed of its file stays.
 */
export function forgetProgramPages(): void {
  for (const { address, bytes } of unchangedFilePages(ownMappings())) libc().madvise(address, bytes, MADV_DONTNEED);
}

/** Empty where the kernel was built without them. */
function ownMappings(): string {
  try {
    return readFileSync('/proc/self/smaps', 'utf8');
  } catch {
    return '';
  }
}

/** Of the text of /proc/PID/smaps: what is mapped from files, cannot be written, and is as in the file. */
export function unchangedFilePages(smaps: string): readonly { readonly address: number; readonly bytes: number }[] {
  return smaps.split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/).flatMap((mapping) => {
    const range = MAPPED_FILE.exec(mapping);
    if (range === null || !/^Anonymous: +0 kB$/m.test(mapping)) return [];
    const [from, to] = [parseInt(range[1]!, 16), parseInt(range[2]!, 16)];
    return [{ address: from, bytes: to - from }];
  });
}
