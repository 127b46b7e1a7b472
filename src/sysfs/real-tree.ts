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

/** /sys, or a directory on disk that plays it. */
export function realTree(root = '/sys'): SysfsTree {
  const absoluteRoot = resolve(root);
  const playsSysfs = !isKernelFileSystem(absoluteRoot);
  const kept = { read: new Map<string, number>(), write: new Map<string, number>() };
  /**
   * Sizes of a mock's files of the tick, as of the last access: to ask each time would be a third of what a write costs. What
   * somebody else makes longer meanwhile shows when it is read back, and is cut with the next write.
   */
  const sizes = new Map<string, number>();
  let buffer = Buffer.alloc(PAGE_BYTES);

  function open(path: string, operation: 'read' | 'write'): number {
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

  function access<T>(path: string, operation: 'read' | 'write', use: (descriptor: number) => T): SysfsResult<T> {
    return asResult(path, operation, () => {
      const descriptors = kept[operation];
      const descriptor = descriptors.get(path);
      if (descriptor !== undefined) {
        try {
          return use(descriptor);
        } catch (error) {
          if (!STALE.has(errnoOf(error))) throw error;
          descriptors.delete(path);
          sizes.delete(path);
          closeSync(descriptor);
        }
      }
      if (!HOT_FILES.has(basename(path)) && !HOT_PATHS.has(path)) {
        const once = open(path, operation);
        try {
          return use(once);
        } finally {
          closeSync(once);
        }
      }
      const fresh = open(path, operation);
      descriptors.set(path, fresh);
      return use(fresh);
    });
  }

  function readText(descriptor: number, path: string): string {
    let length = readSync(descriptor, buffer, 0, buffer.length, 0);
    // sysfs files end within a page; a mock's or a cgroup's may be longer.
    while (length === buffer.length) {
      buffer = Buffer.concat([buffer, Buffer.alloc(buffer.length)]);
      length += readSync(descriptor, buffer, length, buffer.length - length, length);
    }
    if (sizes.has(path)) sizes.set(path, length);
    while (length > 0 && buffer[length - 1] === NEWLINE) length--;
    return buffer.toString('utf8', 0, length);
  }

  function writeText(descriptor: number, path: string, text: string): void {
    if (!playsSysfs) {
      writeSync(descriptor, `${text}\n`, 0);
      return;
    }
    const size = writeInPlace(descriptor, text, sizes.get(path));
    if (kept.write.has(path)) sizes.set(path, size);
  }

  return {
    root: absoluteRoot,
    read: (path) => access(path, 'read', (descriptor) => readText(descriptor, path)),
    write: (path, text) => access(path, 'write', (descriptor) => writeText(descriptor, path, text)),
    list: (path) => asResult(path, 'list', () => naturalOrder(readdirSync(join(absoluteRoot, path)))),
    close() {
      for (const descriptors of Object.values(kept)) {
        for (const descriptor of descriptors.values()) closeSync(descriptor);
        descriptors.clear();
      }
      sizes.clear();
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
