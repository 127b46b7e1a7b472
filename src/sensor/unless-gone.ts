const GONE_OR_HIDDEN: readonly string[] = ['ENOENT', 'ESRCH', 'ENODEV', 'ENOTDIR', 'EACCES', 'EPERM'];

/**
 * What is read of a process or a control group: undefined where it has ended, which it may at any time, and where it is hidden
 * from us. Neither is an error.
 */
export function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== undefined && GONE_OR_HIDDEN.includes(code)) return undefined;
    throw error;
  }
}
