import type { Errno, SysfsFailure, SysfsResult, SysfsTree } from '../core/sysfs-tree.ts';
import { formatCpuList, parseCpuList } from './cpu-list.ts';
import { CpufreqPolicy } from './cpufreq-policy.ts';
import { CPU_DIRECTORY, splitPolicyPath } from './cpufreq-paths.ts';
import type { MockMachine } from './mock-machine.ts';
import { naturalOrder } from './natural-order.ts';

type Operation = SysfsFailure['operation'];

/**
 * A machine in memory whose cpufreq files answer as the kernel's do. Writable are the files of a policy that
 * CpufreqPolicy models and, where the machine has it, `cpuN/online`; all others are read-only (EACCES).
 */
export class MemoryTree implements SysfsTree {
  readonly root: string;
  readonly #files: Map<string, string>;
  readonly #directories = new Map<string, Set<string>>();
  readonly #policies = new Map<string, CpufreqPolicy>();
  readonly #offlineCpus = new Set<number>();
  readonly #faults = new Map<string, { readonly errno: Errno; times: number }>();

  constructor(machine: MockMachine) {
    this.root = machine.name;
    this.#files = new Map(machine.files);
    for (const path of this.#files.keys()) {
      this.#addToDirectories(path);
      const directory = splitPolicyPath(path)?.directory;
      if (directory === undefined || this.#policies.has(directory)) continue;
      const policy = CpufreqPolicy.from((file) => this.#files.get(`${directory}/${file}`));
      if (policy !== undefined) this.#policies.set(directory, policy);
    }
  }

  /** The next `times` operations of this kind on the path fail with `errno`; 0 ends it. */
  fail(path: string, operation: Operation, errno: Errno, times = Infinity): void {
    this.#faults.set(`${operation} ${path}`, { errno, times });
  }

  /** The machine, not a writer, changes a file: a thermal limit in `bios_limit`, a driver that shows another speed. */
  set(path: string, text: string): void {
    this.#files.set(path, text);
    this.#addToDirectories(path);
    const place = splitPolicyPath(path);
    if (place?.file === 'bios_limit') this.#policies.get(place.directory)?.limitTo(Number(text));
  }

  read(path: string): SysfsResult<string> {
    const fault = this.#fault('read', path);
    if (fault !== undefined) return fault;
    const failure = (errno: Errno) => fail('read', path, errno);
    const recorded = this.#files.get(path);
    if (recorded === undefined) return failure(this.#directories.has(path) ? 'EISDIR' : 'ENOENT');
    if (path === `${CPU_DIRECTORY}/online` || path === `${CPU_DIRECTORY}/offline`) {
      return success(this.#hotplugged(path, recorded));
    }
    const place = splitPolicyPath(path);
    if (place === undefined) return success(recorded);
    if (this.#inactive(place.directory)) return failure('EBUSY');
    if (place.file === 'affected_cpus') return success(this.#activeCpus(place.directory).join(' '));
    const policy = this.#policies.get(place.directory);
    return success(policy?.read(place.file) ?? recorded);
  }

  write(path: string, text: string): SysfsResult<void> {
    const fault = this.#fault('write', path);
    if (fault !== undefined) return fault;
    const errno = this.#files.has(path) ? this.#take(path, text) : this.#directories.has(path) ? 'EISDIR' : 'ENOENT';
    return errno === undefined ? success(undefined) : fail('write', path, errno);
  }

  list(path: string): SysfsResult<readonly string[]> {
    const names = this.#directories.get(path);
    const fault = this.#fault('list', path);
    if (fault !== undefined) return fault;
    if (names === undefined) return fail('list', path, this.#files.has(path) ? 'ENOTDIR' : 'ENOENT');
    return success(naturalOrder(names));
  }

  close(): void {
    // Nothing is kept open.
  }

  #take(path: string, text: string): Errno | undefined {
    const cpu = /^devices\/system\/cpu\/cpu(\d+)\/online$/.exec(path);
    if (cpu !== null) return this.#plug(Number(cpu[1]), path, text.trim());
    const place = splitPolicyPath(path);
    const policy = place === undefined ? undefined : this.#policies.get(place.directory);
    // sysfs looks at the mode when the file is opened, before anything else can go wrong.
    if (place === undefined || policy === undefined || !policy.writable(place.file)) return 'EACCES';
    if (this.#inactive(place.directory)) return 'EBUSY';
    return policy.write(place.file, text);
  }

  #plug(cpu: number, path: string, text: string): Errno | undefined {
    if (text !== '0' && text !== '1') return 'EINVAL';
    this.#files.set(path, text);
    if (text === '0') this.#offlineCpus.add(cpu);
    else this.#offlineCpus.delete(cpu);
    return undefined;
  }

  /** The kernel keeps a policy's directory when its last CPU goes, and answers EBUSY from all of its files. */
  #inactive(directory: string): boolean {
    return this.#offlineCpus.size > 0 && this.#activeCpus(directory).length === 0;
  }

  #activeCpus(directory: string): readonly number[] {
    const file = (name: string) => this.#files.get(`${directory}/${name}`);
    const cpus = parseCpuList(file('related_cpus') ?? file('affected_cpus') ?? '') ?? [];
    const wereActive = new Set<number>(parseCpuList(file('affected_cpus') ?? '') ?? []);
    return cpus.filter((cpu) => wereActive.has(cpu) && !this.#offlineCpus.has(cpu));
  }

  #hotplugged(path: string, recorded: string): string {
    if (this.#offlineCpus.size === 0) return recorded;
    const cpus = parseCpuList(recorded) ?? [];
    return path.endsWith('/online')
      ? formatCpuList(cpus.filter((cpu) => !this.#offlineCpus.has(cpu)))
      : formatCpuList([...cpus, ...this.#offlineCpus]);
  }

  #fault(operation: Operation, path: string): SysfsFailure | undefined {
    const fault = this.#faults.get(`${operation} ${path}`);
    if (fault === undefined || fault.times <= 0) return undefined;
    fault.times -= 1;
    return fail(operation, path, fault.errno);
  }

  #addToDirectories(path: string): void {
    const parts = path.split('/');
    for (let depth = 0; depth < parts.length; depth++) {
      const directory = parts.slice(0, depth).join('/');
      const names = this.#directories.get(directory) ?? new Set<string>();
      names.add(parts[depth]!);
      this.#directories.set(directory, names);
    }
  }
}

const success = <T>(value: T): SysfsResult<T> => ({ ok: true, value });
const fail = (operation: Operation, path: string, errno: Errno): SysfsFailure => ({
  ok: false,
  operation,
  path,
  errno,
});
