/** Of files in /proc: the process has ended, also between open and read (ESRCH). */
export function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH');
}
