import { constants } from 'node:os';
import type { VariableLocation } from './btf.ts';
import { libbpf } from './libbpf-functions.ts';
import { MappedMemory } from './mapped-memory.ts';
import { NativeError } from './native-error.ts';
import type { Scope } from './scope.ts';

const { ENOENT, EINVAL, EOPNOTSUPP } = constants.errno;
const ENOTSUPP = 524;

/** enum bpf_map_type */
const ARRAY = 2;
const PER_CPU_TYPES: ReadonlySet<number> = new Set([5, 6, 10, 21]);

/** Far more than a bucket of a hash map ever holds: the kernel hands out whole buckets. */
const BATCH_ENTRIES = 256;
/** Room for a kernel's batch position, which is no larger than a key or a u32. */
const BATCH_POSITION_BYTES = 8;

/** What a map needs of the object that it belongs to. */
export interface MapOwner {
  readonly scope: Scope;
  isLoaded(): boolean;
  /** @throws Error when the section has no such variable */
  variable(section: string, name: string): VariableLocation;
}

/**
 * A map of a BPF object. Keys and values are bytes in the machine's order. The value of a per-CPU map is that of each
 * possible CPU in turn, each rounded up to 8 bytes.
 */
export class BpfMap {
  /** As it was asked for: `connections`, or `.bss` for a section of global variables. */
  readonly name: string;
  /** The object's lifetime, for what is built on this map. */
  readonly scope: Scope;
  readonly #owner: MapOwner;
  readonly #address: bigint;
  readonly #type: number;
  readonly #lookupBytes: number;
  readonly keySize: number;
  /** Of one value: on one CPU, where the map is per CPU. */
  readonly valueSize: number;

  constructor(owner: MapOwner, address: bigint, name: string) {
    this.#owner = owner;
    this.scope = owner.scope;
    this.#address = address;
    this.name = name;
    this.#type = libbpf().bpf_map__type(address);
    this.keySize = libbpf().bpf_map__key_size(address);
    this.valueSize = libbpf().bpf_map__value_size(address);
    this.#lookupBytes = PER_CPU_TYPES.has(this.#type)
      ? roundUpTo8(this.valueSize) * libbpf().libbpf_num_possible_cpus()
      : this.valueSize;
  }

  get #what(): string {
    return `map '${this.name}'`;
  }

  get maxEntries(): number {
    this.scope.assertOpen();
    return libbpf().bpf_map__max_entries(this.#address);
  }

  /** @throws Error after load */
  setMaxEntries(maxEntries: number): void {
    this.scope.assertOpen();
    if (this.#owner.isLoaded()) throw new Error(`${this.#what} is loaded: its size is set before load()`);
    const result = libbpf().bpf_map__set_max_entries(this.#address, maxEntries);
    if (result < 0) throw new NativeError(`set max_entries of ${this.#what} to ${maxEntries}`, -result);
  }

  /** Whether load() creates the map. Programs that are loaded must not use one that is not. @throws Error after load */
  setAutocreate(on: boolean): void {
    this.scope.assertOpen();
    if (this.#owner.isLoaded()) throw new Error(`${this.#what} is loaded: whether it is created is set before load()`);
    const result = libbpf().bpf_map__set_autocreate(this.#address, on);
    if (result < 0) throw new NativeError(`choose ${this.#what}`, -result);
  }

  /** The map's descriptor; it stays the object's. @throws Error before load */
  get fd(): number {
    this.scope.assertOpen();
    if (!this.#owner.isLoaded()) throw new Error(`${this.#what} does not exist yet: load() comes first`);
    return libbpf().bpf_map__fd(this.#address);
  }

  lookup(key: Uint8Array): Uint8Array | null {
    const { fd } = this;
    this.#checkSize('key', key, this.keySize);
    const value = new Uint8Array(this.#lookupBytes);
    const result = libbpf().bpf_map_lookup_elem(fd, key, value);
    if (result === -ENOENT) return null;
    this.#check('look up in', result);
    return value;
  }

  /** @param flags BPF_ANY 0, BPF_NOEXIST 1, BPF_EXIST 2 */
  update(key: Uint8Array, value: Uint8Array, flags = 0): void {
    const { fd } = this;
    this.#checkSize('key', key, this.keySize);
    this.#checkSize('value', value, this.#lookupBytes);
    this.#check('update', libbpf().bpf_map_update_elem(fd, key, value, flags));
  }

  /** @returns false when there was no such key */
  delete(key: Uint8Array): boolean {
    const { fd } = this;
    this.#checkSize('key', key, this.keySize);
    const result = libbpf().bpf_map_delete_elem(fd, key);
    if (result === -ENOENT) return false;
    this.#check('delete from', result);
    return true;
  }

  /** Every entry, many a system call where the kernel can. What is put in or taken out meanwhile may be seen or not. */
  *entries(): Generator<[key: Uint8Array, value: Uint8Array], void> {
    let position: Uint8Array | null = null;
    for (;;) {
      const batch = this.#lookupBatch(position);
      if (batch === null) {
        yield* this.#entriesOneByOne();
        return;
      }
      yield* batch.entries;
      if (batch.last) return;
      position = batch.position;
    }
  }

  /**
   * The memory of an array map (declared with BPF_F_MMAPABLE), or of a section of global variables: value i begins at
   * i × (valueSize rounded up to 8). It is closed with the object, at the latest.
   */
  mmap(options: { writable?: boolean } = {}): MappedMemory {
    const { fd } = this;
    if (this.#type !== ARRAY) throw new Error(`${this.#what} cannot be mapped into memory: it is no array`);
    const memory: MappedMemory = new MappedMemory(fd, {
      what: this.#what,
      length: roundUpTo8(this.valueSize) * (this.maxEntries - 1) + this.valueSize,
      writable: options.writable ?? false,
      onClose: () => this.scope.forget(memory),
    });
    return this.scope.adopt(memory);
  }

  /** Where a global variable lies in this section (`.bss`, `.data`, `.rodata`), by BTF. @throws Error when it does not */
  variable(name: string): VariableLocation {
    return this.#owner.variable(this.name, name);
  }

  /** @returns null where the kernel has no batches for this type of map, or none at all (before 5.6) */
  #lookupBatch(position: Uint8Array | null) {
    const { fd } = this;
    const capacity = Math.min(BATCH_ENTRIES, this.maxEntries);
    const keys = new Uint8Array(capacity * this.keySize);
    const values = new Uint8Array(capacity * this.#lookupBytes);
    const count = new Uint32Array([capacity]);
    const next = new Uint8Array(Math.max(BATCH_POSITION_BYTES, this.keySize));
    const result = libbpf().bpf_map_lookup_batch(fd, position, next, keys, values, count, null);
    const refused = result === -ENOTSUPP || result === -EOPNOTSUPP || result === -EINVAL;
    if (refused && position === null) return null;
    if (result !== -ENOENT) this.#check('read', result);
    const entries = Array.from({ length: count[0]! }, (_, index): [Uint8Array, Uint8Array] => [
      keys.slice(index * this.keySize, (index + 1) * this.keySize),
      values.slice(index * this.#lookupBytes, (index + 1) * this.#lookupBytes),
    ]);
    return { entries, position: next, last: result === -ENOENT };
  }

  *#entriesOneByOne(): Generator<[key: Uint8Array, value: Uint8Array], void> {
    let key: Uint8Array | null = null;
    // The kernel starts over when the key that we stand on was deleted: the bound ends what could go on for ever.
    for (let seen = 0; seen < this.maxEntries; seen++) {
      const next = new Uint8Array(this.keySize);
      const result = libbpf().bpf_map_get_next_key(this.fd, key, next);
      if (result === -ENOENT) return;
      this.#check('read', result);
      const value = this.lookup(next);
      if (value !== null) yield [next.slice(), value];
      key = next;
    }
  }

  #check(operation: string, result: number): void {
    if (result < 0) throw new NativeError(`${operation} ${this.#what}`, -result);
  }

  /** The kernel reads and writes as many bytes as the map says, whatever the array's length. */
  #checkSize(part: 'key' | 'value', bytes: Uint8Array, expected: number): void {
    if (bytes.length === expected) return;
    throw new RangeError(`${part} of ${this.#what} has ${bytes.length} bytes, expected ${expected}`);
  }
}

const roundUpTo8 = (bytes: number): number => Math.ceil(bytes / 8) * 8;
