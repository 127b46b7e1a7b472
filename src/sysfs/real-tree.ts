import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, statfsSync, writeSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { Errno, SysfsFailure, SysfsResult, SysfsTree } from '../core/sysfs-tree.ts';
import { CPU_DIRECTORY, GLOBAL_BOOST, MAX_PERF_PCT, NO_TURBO } from './cpufreq-paths.ts';
import { naturalOrder } from './natural-order.ts';
import { writeInPlace } from './write-in-place.ts';

/** Files of the tick: their descriptors stay open, which makes an access one system call. */
const HOT_FILES: ReadonlySet<string> = new Set([
  'core_throttle_count',
  'package_throttle_count',
  'scaling_cur_freq',
  'scaling_governor',
  'scaling_max_freq',
  'scaling_min_freq',
  'scaling_setspeed',
]);
const HOT_PATHS: ReadonlySet<string> = new Set([`${CPU_DIRECTORY}/online`, GLOBAL_BOOST, MAX_PERF_PCT, NO_TURBO]);
/** What a kept descriptor answers with once its CPU or its driver has gone, though the path may work again. */
const STALE: ReadonlySet<Errno> = new Set(['ENODEV', 'EBUSY', 'ENOENT']);
/** statfs types of sysfs, cgroup and cgroup2 (linux/magic.h): a write there replaces the text whatever its length. */
const KERNEL_FILE_SYSTEMS: ReadonlySet<number> = new Set([0x62656572, 0x27e0eb, 0x63677270]);
const PAGE_BYTES = 4096;
const NEWLINE = 0x0a;

/** A file of the tick: its descriptors, where there are any, and what a mock needs to replace its text. */
interface HotFile {
  read: number | null;
  write: number | null;
  /**
   * As of the last access; undefined before: to ask for it at each write would be one more system call. What somebody else
   * makes longer meanwhile shows when it is read back, and is cut with the next write.
   */
  size: number | undefined;
}

type Operation = 'read' | 'write';

/** /sys, or a directory on disk that plays it. */
export function realTree(root = '/sys'): SysfsTree {
  const absoluteRoot = resolve(root);
  const playsSysfs = !isKernelFileSystem(absoluteRoot);
  const hotFiles = new Map<string, HotFile>();
  let buffer = Buffer.alloc(PAGE_BYTES);

  function open(path: string, operation: Operation): number {
    // Never O_CREAT: a misspelt path must fail in a mock as it does in /sys.
    const descriptor = openSync(
      join(absoluteRoot, path),
      operation === 'read' ? constants.O_RDONLY : constants.O_WRONLY,
    );
    if (operation === 'write' && playsSysfs && (fstatSync(descriptor).mode & 0o222) === 0) {
      closeSync(descriptor);
      // sysfs refuses root, too, where the file has no write bit; other file systems do not.
      throw Object.assign(new Error(`${path} is read-only`), { code: 'EACCES' });
    }
    return descriptor;
  }

  /** @returns undefined for a file that is not one of the tick */
  function hotFile(path: string): HotFile | undefined {
    const known = hotFiles.get(path);
    if (known !== undefined) return known;
    if (!HOT_FILES.has(basename(path)) && !HOT_PATHS.has(path)) return undefined;
    const file: HotFile = { read: null, write: null, size: undefined };
    hotFiles.set(path, file);
    return file;
  }

  function access<T>(
    path: string,
    operation: Operation,
    use: (descriptor: number, file?: HotFile) => T,
  ): SysfsResult<T> {
    return asResult(path, operation, () => {
      const file = hotFile(path);
      if (file === undefined) {
        const once = open(path, operation);
        try {
          return use(once);
        } finally {
          closeSync(once);
        }
      }
      const descriptor = file[operation];
      if (descriptor !== null) {
        try {
          return use(descriptor, file);
        } catch (error) {
          if (!STALE.has(errnoOf(error))) throw error;
          file[operation] = null;
          closeSync(descriptor);
        }
      }
      const fresh = open(path, operation);
      file[operation] = fresh;
      file.size = undefined;
      return use(fresh, file);
    });
  }

  function readText(descriptor: number, file?: HotFile): string {
    let length = readSync(descriptor, buffer, 0, buffer.length, 0);
    // sysfs files end within a page; a mock's or a cgroup's may be longer.
    while (length === buffer.length) {
      buffer = Buffer.concat([buffer, Buffer.alloc(buffer.length)]);
      length += readSync(descriptor, buffer, length, buffer.length - length, length);
    }
    if (file !== undefined) file.size = length;
    while (length > 0 && buffer[length - 1] === NEWLINE) length--;
    return buffer.toString('utf8', 0, length);
  }

  function writeText(text: string, descriptor: number, file?: HotFile): void {
    if (!playsSysfs) {
      writeSync(descriptor, `${text}\n`, 0);
      return;
    }
    const size = writeInPlace(descriptor, text, file?.size);
    if (file !== undefined) file.size = size;
  }

  return {
    root: absoluteRoot,
    read: (path) => access(path, 'read', readText),
    write: (path, text) => access(path, 'write', (descriptor, file) => writeText(text, descriptor, file)),
    list: (path) => asResult(path, 'list', () => naturalOrder(readdirSync(join(absoluteRoot, path)))),
    close() {
      for (const { read, write } of hotFiles.values()) {
        if (read !== null) closeSync(read);
        if (write !== null) closeSync(write);
      }
      hotFiles.clear();
    },
  };
}

function asResult<T>(path: string, operation: SysfsFailure['operation'], action: () => T): SysfsResult<T> {
  try {
    return { ok: true, value: action() };
  } catch (error) {
    return { ok: false, operation, path, errno: errnoOf(error) };
  }
}

/** @throws what is no answer of the operating system */
function errnoOf(error: unknown): Errno {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  throw error;
}

function isKernelFileSystem(root: string): boolean {
  const type = asResult('', 'read', () => statfsSync(root).type);
  return type.ok && KERNEL_FILE_SYSTEMS.has(type.value);
}
