import { statSync } from 'node:fs';
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
  readonly #keys: (Uint8Array | undefined)[];

  /** @param paths of each target; undefined where it is no Unix-domain socket */
  constructor(map: SocketMap, paths: readonly (string | undefined)[]) {
    this.#map = map;
    this.#paths = paths;
    this.#keys = paths.map(() => undefined);
  }

  /** @returns of each target whether its socket is there */
  follow(): readonly boolean[] {
    return this.#paths.map((path, target) => {
      const key = path === undefined ? undefined : keyOf(path);
      const before = this.#keys[target];
      if (before !== undefined && (key === undefined || !Buffer.from(before).equals(key))) this.#map.delete(before);
      if (key !== undefined) this.#map.update(key, new Uint8Array(new Uint32Array([target + 1]).buffer));
      this.#keys[target] = key;
      return key !== undefined;
    });
  }
}

/** struct unix_key; undefined where there is no socket. */
function keyOf(path: string): Uint8Array | undefined {
  const file = unlessGone(() => statSync(path, { bigint: true }));
  if (file === undefined || !file.isSocket()) return undefined;
  return new Uint8Array(new BigUint64Array([file.ino, kernelDevice(file.dev)]).buffer);
}

/** stat(2) packs a device's numbers in another way than the kernel inside: 20 bits of minor below 12 of major. */
function kernelDevice(dev: bigint): bigint {
  const major = (dev >> 8n) & 0xfffn;
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xfff00n);
  return (major << 20n) | minor;
}
