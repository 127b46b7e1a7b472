import { constants } from 'node:os';
import { BpfLink } from './bpf-link.ts';
import { BpfMap } from './bpf-map.ts';
import { sectionVariables, type VariableLocation } from './btf.ts';
import { ITER_OPTIONS_SIZE, libbpf, OPEN_OPTIONS_SIZE } from './libbpf-functions.ts';
import { type Log, withLibbpfLog } from './libbpf-log.ts';
import { lastErrno, libc } from './libc.ts';
import { NativeError } from './native-error.ts';
import { complaintIn } from './complaint.ts';
import { lazy } from './ffi.ts';
import { holdingSignals } from './signal-mask.ts';
import { Scope } from './scope.ts';

export { BpfLink } from './bpf-link.ts';
export { BpfMap } from './bpf-map.ts';
export type { VariableLocation } from './btf.ts';
export type { Log, LogLevel } from './libbpf-log.ts';
export { MappedMemory } from './mapped-memory.ts';
export { NativeError } from './native-error.ts';
export { RingBuffer } from './ring-buffer.ts';

const { EAGAIN, EINTR } = constants.errno;
/** For what is copied from it at once. */
const readBuffer = lazy(() => new Uint8Array(65_536));

interface OpenOptions {
  /** The object's name in messages and in the kernel's lists; by default the file's name, or `memory`. */
  readonly name?: string;
  /** Gets what libbpf says, the kernel's verifier log included. */
  readonly log?: Log;
}

/**
 * A compiled BPF object and all that lives in it: programs, maps, links, mappings, ring buffers. It goes through
 * open → load → close; closing takes everything in it out of the kernel, and so does the end of the process, but not that
 * of a worker thread. One thread of a process at a time may use libbpf.
 */
export class BpfObject {
  readonly name: string;
  readonly #address: bigint;
  readonly #log: Log | undefined;
  readonly #scope: Scope;
  readonly #maps = new Map<string, BpfMap>();
  readonly #sections = new Map<string, ReadonlyMap<string, VariableLocation>>();
  readonly #iterators = new Map<string, BpfLink>();
  #state: 'open' | 'loaded' | 'failed' = 'open';

  private constructor(address: bigint, log: Log | undefined) {
    this.#address = address;
    this.#log = log;
    this.name = libbpf().bpf_object__name(address) ?? '';
    this.#scope = new Scope(this.#what, () => libbpf().bpf_object__close(address));
  }

  /**
   * Reads an object; the kernel hears of it at load().
   * @param source a file's path, or an ELF file's bytes
   * @throws NativeError when it cannot be read or is no BPF object
   */
  static open(source: string | Uint8Array, options: OpenOptions = {}): BpfObject {
    const name = options.name ?? (typeof source === 'string' ? undefined : 'memory');
    const nameOption = name === undefined ? null : { sz: OPEN_OPTIONS_SIZE, object_name: name };
    const { result, said } = withLibbpfLog(options.log, () => {
      const address =
        typeof source === 'string'
          ? libbpf().bpf_object__open_file(source, nameOption)
          : libbpf().bpf_object__open_mem(source, source.length, nameOption);
      return address ?? lastErrno();
    });
    if (typeof result === 'bigint') return new BpfObject(result, options.log);
    const what = typeof source === 'string' ? source : `'${name}'`;
    throw new NativeError(`open BPF object ${what}`, result, { detail: complaintIn(said), log: said });
  }

  /** Sets a constant (`const volatile`, global) before load, so that the verifier sees its value. */
  setRodata(variable: string, bytes: Uint8Array): void {
    this.#assertBeforeLoad('setRodata');
    const { offset, size } = this.#variable('.rodata', variable);
    if (bytes.length !== size) {
      throw new RangeError(`constant '${variable}' of ${this.#what} has ${size} bytes, got ${bytes.length}`);
    }
    const address = libbpf().bpf_map__initial_value(this.#findMap('.rodata'), new BigUint64Array(1));
    if (address === null) throw new NativeError(`set constant '${variable}' of ${this.#what}`, lastErrno());
    libc().memcpy(address + BigInt(offset), bytes, size);
  }

  /** The same BpfMap for the same name each time. @throws NativeError ENOENT when there is no such map */
  map(name: string): BpfMap {
    this.#scope.assertOpen();
    const known = this.#maps.get(name);
    if (known !== undefined) return known;
    const map = new BpfMap(
      {
        scope: this.#scope,
        isLoaded: () => this.#state === 'loaded',
        variable: (section, variable) => this.#variable(section, variable),
      },
      this.#findMap(name),
      name,
    );
    this.#maps.set(name, map);
    return map;
  }

  hasProgram(name: string): boolean {
    this.#scope.assertOpen();
    return libbpf().bpf_object__find_program_by_name(this.#address, name) !== null;
  }

  /** Whether load() loads the program. */
  setAutoload(program: string, on: boolean): void {
    this.#assertBeforeLoad('setAutoload');
    const result = libbpf().bpf_program__set_autoload(this.#findProgram(program), on);
    if (result < 0) throw new NativeError(`choose program '${program}' of ${this.#what}`, -result);
  }

  /**
   * Creates the maps and has the kernel verify the programs. An object that failed to load can only be closed.
   * @throws NativeError whose message names the program that was refused, and whose `log` is the verifier's
   */
  load(): void {
    this.#assertBeforeLoad('load');
    // A log function that throws does so after the fact: the state must be right by then.
    const { result, said } = withLibbpfLog(this.#log, () => {
      // The verifier gives up with EAGAIN at a signal, and libbpf after a few times: a profiler's timer alone would keep us out.
      const code = holdingSignals(() => libbpf().bpf_object__load(this.#address));
      this.#state = code < 0 ? 'failed' : 'loaded';
      return code;
    });
    if (result < 0) throw new NativeError(`load ${this.#what}`, -result, { detail: complaintIn(said), log: said });
  }

  /** Attaches a program where its section name says. The link is closed with the object, at the latest. */
  attach(program: string): BpfLink {
    const address = this.#loadedProgram(program);
    return this.#link(program, () => libbpf().bpf_program__attach(address));
  }

  /**
   * Runs an iterator program over what it iterates and returns all that it wrote. The link is kept for the next run.
   * @param map for programs of section `iter/bpf_map_elem`: the map of this object whose elements are iterated
   */
  iterate(program: string, map?: BpfMap): Uint8Array {
    if (map !== undefined && map.scope !== this.#scope)
      throw new Error(`map '${map.name}' is not one of ${this.#what}`);
    const address = this.#loadedProgram(program);
    const key = map === undefined ? program : `${program} over ${map.name}`;
    let link = this.#iterators.get(key);
    if (link === undefined) {
      const options = map === undefined ? null : iteratorOverMap(map);
      link = this.#link(program, () => libbpf().bpf_program__attach_iter(address, options));
      this.#iterators.set(key, link);
    }
    const operation = `run iterator '${program}' of ${this.#what}`;
    const fd = libbpf().bpf_iter_create(link.fd);
    if (fd < 0) throw new NativeError(operation, -fd);
    try {
      return readToEnd(operation, fd);
    } finally {
      libc().close(fd);
    }
  }

  /** Detaches and removes everything that was made from the object. */
  close(): void {
    this.#scope.close();
  }

  get #what(): string {
    return `BPF object '${this.name}'`;
  }

  #assertBeforeLoad(method: string): void {
    this.#scope.assertOpen();
    if (this.#state === 'loaded') throw new Error(`${this.#what} is loaded: too late for ${method}()`);
    if (this.#state === 'failed') throw new Error(`${this.#what} failed to load and can only be closed`);
  }

  #findMap(name: string): bigint {
    const address = libbpf().bpf_object__find_map_by_name(this.#address, name);
    if (address === null) throw new NativeError(`find map '${name}' of ${this.#what}`, lastErrno());
    return address;
  }

  #findProgram(name: string): bigint {
    const address = libbpf().bpf_object__find_program_by_name(this.#address, name);
    if (address === null) throw new NativeError(`find program '${name}' of ${this.#what}`, lastErrno());
    return address;
  }

  #loadedProgram(name: string): bigint {
    this.#scope.assertOpen();
    if (this.#state !== 'loaded') throw new Error(`${this.#what} is not loaded: load() comes before '${name}' can run`);
    return this.#findProgram(name);
  }

  #link(program: string, attach: () => bigint | null): BpfLink {
    // The link is the object's before a log function can throw.
    const { result, said } = withLibbpfLog(this.#log, () => {
      const address = attach();
      return address === null ? lastErrno() : new BpfLink(this.#scope, address, program);
    });
    if (result instanceof BpfLink) return result;
    throw new NativeError(`attach program '${program}' of ${this.#what}`, result, {
      detail: complaintIn(said),
      log: said,
    });
  }

  #variable(section: string, name: string): VariableLocation {
    this.#scope.assertOpen();
    let variables = this.#sections.get(section);
    if (variables === undefined) {
      const btf = libbpf().bpf_object__btf(this.#address);
      variables = btf === null ? new Map<string, VariableLocation>() : sectionVariables(btf, section);
      this.#sections.set(section, variables);
    }
    const location = variables.get(name);
    if (location !== undefined) return location;
    const known = [...variables.keys()].join(', ') || 'none';
    throw new Error(`${this.#what} has no variable '${name}' in ${section}; it has: ${known}`);
  }
}

/** Where a global variable lies in the memory of its section, such as `.bss`. @throws Error when there is no such variable */
export function variableOffset(map: BpfMap, name: string): VariableLocation {
  return map.variable(name);
}

/** The version of the library, such as `v1.1`. */
export function libbpfVersion(): string {
  return libbpf().libbpf_version_string() ?? '';
}

/** How many CPUs this kernel may ever have: the number of values that a per-CPU map holds for a key. */
export function possibleCpus(): number {
  const count = libbpf().libbpf_num_possible_cpus();
  if (count < 0) throw new NativeError('count the possible CPUs', -count);
  return count;
}

/** union bpf_iter_link_info, whose first member for maps is the descriptor. */
function iteratorOverMap(map: BpfMap): Readonly<Record<string, unknown>> {
  const linkInfo = new Uint32Array(4);
  linkInfo[0] = map.fd;
  return { sz: ITER_OPTIONS_SIZE, link_info: linkInfo, link_info_len: linkInfo.byteLength };
}

function readToEnd(operation: string, fd: number): Uint8Array {
  const chunks: Uint8Array[] = [];
  const buffer = readBuffer();
  for (;;) {
    const length = libc().read(fd, buffer, buffer.length);
    if (length === 0) return joined(chunks);
    if (length > 0) chunks.push(buffer.slice(0, length));
    if (length < 0) {
      const errno = lastErrno();
      // EAGAIN: the kernel visited many objects, and none of them made the program write.
      if (errno !== EAGAIN && errno !== EINTR) throw new NativeError(operation, errno);
    }
  }
}

/** Not Buffer.concat: its result may lie in memory that others share, and `.buffer` would show all of that. */
function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}
