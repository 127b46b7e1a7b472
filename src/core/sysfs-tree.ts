/** The errno names that sysfs and cgroupfs answer with; anything else arrives as it is. */
export type Errno =
  'EACCES' | 'EBUSY' | 'EINVAL' | 'EIO' | 'ENODEV' | 'ENOENT' | 'ENOSPC' | 'EROFS' | 'EAGAIN' | (string & {});

export interface SysfsFailure {
  readonly ok: false;
  readonly operation: 'read' | 'write' | 'list';
  /** Relative to the root: `devices/system/cpu/cpufreq/policy0/scaling_max_freq`. */
  readonly path: string;
  readonly errno: Errno;
}

export type SysfsResult<T> = { readonly ok: true; readonly value: T } | SysfsFailure;

/**
 * The files below /sys, real or not. Paths are relative to the root. Every answer of the operating system is a result:
 * a file that is absent, a CPU that is offline or a refused value are everyday events here.
 */
export interface SysfsTree {
  /** Where the tree is, for messages: `/sys`, a directory, or a mock's name. */
  readonly root: string;
  /** The file's text without its trailing newline. */
  read(path: string): SysfsResult<string>;
  /** Never creates a file. */
  write(path: string, text: string): SysfsResult<void>;
  /** Names in a directory, sorted; numbers inside names by value, so that `policy10` follows `policy9`. */
  list(path: string): SysfsResult<readonly string[]>;
  /** Closes kept-open descriptors. */
  close(): void;
}
