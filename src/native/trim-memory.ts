import { libc } from './libc.ts';

/** Gives back to the kernel what malloc(3) keeps for later. Takes a ms or so; see malloc_trim(3). */
export function trimMemory(): void {
  libc().malloc_trim(0);
}
