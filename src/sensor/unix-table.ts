import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { unlessGone } from './unless-gone.ts';

/** The map `unix_listeners`, as far as it is used here. */
interface SocketMap {
  update(key: Uint8Array, value: Uint8Array): void;
  delete(key: Uint8Array): boolean;
}

/** Tells the probes which Unix-domain sockets are whose. A server that starts anew makes another file of the same name. */
export class UnixTable {
  readonly #map: SocketMap;
  readonly #paths: readonly (string | undefined)[];
  readonly #sockets: (Socket | undefined)[];

  /** @param paths of each target; undefined where it is no Unix-domain socket */
  constructor(map: SocketMap, paths: readonly (string | undefined)[]) {
    this.#map = map;
    this.#paths = paths;
    this.#sockets = paths.map(() => undefined);
  }

  /** @returns of each target whether its socket is there */
  follow(): readonly boolean[] {
    return this.#paths.map((path, target) => {
      const before = this.#sockets[target];
      const now = path === undefined ? undefined : socketAt(path, before);
      if (before !== undefined && (now === undefined || !Buffer.from(before.key).equals(now.key)))
        this.#map.delete(before.key);
      if (now !== undefined) this.#map.update(now.key, new Uint8Array(new Uint32Array([target + 1]).buffer));
      this.#sockets[target] = now;
      return now !== undefined;
    });
  }
}

interface Socket {
  /** Tells whether it is still the same file. */
  readonly stat: string;
  /** struct unix_key. */
  readonly key: Uint8Array;
}

/** @returns undefined where there is no socket */
function socketAt(path: string, before: Socket | undefined): Socket | undefined {
  return unlessGone(() => {
    const file = statSync(path, { bigint: true });
    if (!file.isSocket()) return undefined;
    const stat = [file.dev, file.ino, file.ctimeNs].join();
    if (stat === before?.stat) return before;
    const { inode, device } = asKernelKnows(path);
    const key = new BigUint64Array([inode ?? file.ino, device ?? kernelDevice(file.dev)]);
    return { stat, key: new Uint8Array(key.buffer) };
  });
}

/** include/uapi/asm-generic/fcntl.h: a descriptor of the file itself, which can be had of a socket, too. */
const O_PATH = 0o10000000;

/**
 * What stat(2) tells is not what the kernel knows a file by on an overlay of several file systems, nor on Btrfs. A descriptor has it in
 * fdinfo: the inode's number since Linux 5.14, and the mount, whose device is in mountinfo where the mount is one of ours.
 */
function asKernelKnows(path: string): { readonly inode: bigint | undefined; readonly device: bigint | undefined } {
  const fd = openSync(path, O_PATH);
  try {
    const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
    const inode = /^ino:\s*(\d+)$/m.exec(info)?.[1];
    const mount = /^mnt_id:\s*(\d+)$/m.exec(info)?.[1];
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
    const [, major, minor] = new RegExp(`^${mount} \\d+ (\\d+):(\\d+) `, 'm').exec(mounts) ?? [];
    return {
      inode: inode === undefined ? undefined : BigInt(inode),
      device: major === undefined ? undefined : (BigInt(major) << MINOR_BITS) | BigInt(minor!),
    };
  } finally {
    closeSync(fd);
  }
}

/** Of a device's number inside the kernel; the major is above them. */
const MINOR_BITS = 20n;

/** stat(2) packs it in another way. */
function kernelDevice(dev: bigint): bigint {
  const major = (dev >> 8n) & 0xfffn;
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xfff00n);
  return (major << MINOR_BITS) | minor;
}
