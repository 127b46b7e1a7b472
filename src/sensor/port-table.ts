import { statSync } from 'node:fs';
import type { TargetPlace } from '../core/target-place.ts';
import { PORT_BY_NAMESPACE } from './layout.ts';
import type { Listener } from './listening-ports.ts';

/** The map `listeners`, as far as it is used here. */
interface ListenerMap {
  readonly maxEntries: number;
  update(key: Uint8Array, value: Uint8Array): void;
  delete(key: Uint8Array): boolean;
}

interface Entry extends Listener {
  readonly target: number;
}

/**
 * Tells the probes which ports are whose. A port that means the same in our own network namespace as long as the sensor
 * lives is one byte of a table. All others are looked up by namespace and port, and of these the table says just that.
 */
export class PortTable {
  readonly #bytes: Uint8Array;
  readonly #map: ListenerMap;
  readonly #own: readonly Entry[];
  #entries = new Map<string, Entry>();

  /** @param plainPorts of each target: its ports in our namespace, where they say it all */
  constructor(bytes: Uint8Array, map: ListenerMap, plainPorts: readonly (TargetPlace['ports'] | undefined)[]) {
    this.#bytes = bytes;
    this.#map = map;
    const netns = ownNetns();
    this.#own = plainPorts.flatMap((ports = [], target) => ports.map((port) => ({ netns, port, target })));
    for (const { port, target } of this.#own) bytes[port] = target + 1;
  }

  /**
   * What is true from now on. Where two targets claim the same, the first one has it.
   * @param listeners of each target that is not of plain ports; empty for the others
   * @returns what did not fit
   */
  follow(listeners: readonly (readonly Listener[])[]): readonly Listener[] {
    const found = listeners.flatMap((of, target) => of.map((listener) => ({ ...listener, target })));
    const ports = new Set(found.map(({ port }) => port));
    const wanted = new Map<string, Entry>();
    // A plain port that others have in another namespace must be looked up, too; being plain it comes first.
    for (const entry of [...this.#own.filter(({ port }) => ports.has(port)), ...found]) {
      const name = `${entry.netns}:${entry.port}`;
      if (!wanted.has(name)) wanted.set(name, entry);
    }
    const all = [...wanted];
    const kept = new Map(all.slice(0, this.#map.maxEntries));
    for (const [name, entry] of this.#entries) if (!kept.has(name)) this.#map.delete(keyOf(entry));
    for (const [name, entry] of kept) {
      if (this.#entries.get(name)?.target !== entry.target) this.#map.update(keyOf(entry), valueOf(entry));
    }
    this.#mark(kept);
    this.#entries = kept;
    return all.slice(this.#map.maxEntries).map(([, entry]) => entry);
  }

  /** After the map: a port that is marked is looked up there. */
  #mark(kept: ReadonlyMap<string, Entry>): void {
    const now = new Set([...kept.values()].map(({ port }) => port));
    for (const { port } of this.#entries.values()) {
      if (!now.has(port)) this.#bytes[port] = (this.#own.find((entry) => entry.port === port)?.target ?? -1) + 1;
    }
    for (const port of now) this.#bytes[port] = PORT_BY_NAMESPACE;
  }
}

export const ownNetns = (): number => statSync('/proc/self/ns/net').ino;

/** struct listener_key. */
const keyOf = ({ netns, port }: Listener): Uint8Array => new Uint8Array(new Uint32Array([netns, port]).buffer);
const valueOf = ({ target }: Entry): Uint8Array => new Uint8Array(new Uint32Array([target + 1]).buffer);
