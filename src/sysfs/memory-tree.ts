import type { Errno, SysfsFailure, SysfsResult, SysfsTree } from '../core/sysfs-tree.ts';
import { formatCpuList, parseCpuList } from '../core/cpu-list.ts';
import { CpufreqModel } from './cpufreq-model.ts';
import { CpusetModel } from './cpuset-model.ts';
import { CPU_DIRECTORY, CPUFREQ_DIRECTORY, policyDirectory, splitPolicyPath } from './cpufreq-paths.ts';
import type { MockMachine } from './mock-machine.ts';
import { naturalOrder } from './natural-order.ts';

type Operation = SysfsFailure['operation'];

/** What of a CPU is there only while it is online. */
const ONLINE_ONLY = /^devices\/system\/cpu\/cpu(\d+)\/(?:topology|acpi_cppc|cache|cpuidle|thermal_throttle)(?:\/|$)/;

/**
 * A machine in memory whose cpufreq and cpuset files answer as the kernel's do. Writable are the files that CpufreqModel and
 * CpusetModel model and, where the machine has it, `cpuN/online`; all others are read-only (EACCES).
 */
export class MemoryTree implements SysfsTree {
  readonly root: string;
  readonly #files: Map<string, string>;
  readonly #directories = new Map<string, Set<string>>();
  readonly #model: CpufreqModel;
  readonly #cpusets: CpusetModel;
  readonly #offlineCpus = new Set<number>();
  readonly #faults = new Map<string, { readonly errno: Errno; times: number }>();

  constructor(machine: MockMachine) {
    this.root = machine.name;
    this.#files = new Map(machine.files);
    for (const path of this.#files.keys()) this.#addToDirectories(path);
    this.#model = new CpufreqModel(
      (path) => this.#files.get(path),
      () => this.#policyNames(),
    );
    const cpusIn = (file: string) => {
      const result = this.read(`${CPU_DIRECTORY}/${file}`);
      return result.ok ? (parseCpuList(result.value) ?? []) : [];
    };
    this.#cpusets = new CpusetModel({
      file: (path) => this.#files.get(path),
      list: (path) => [...(this.#directories.get(path) ?? [])],
      onlineCpus: () => cpusIn('online'),
      highestCpu: () => Math.max(...cpusIn('online'), ...cpusIn('possible')),
    });
  }

  /** The next `times` operations of this kind on the path fail with `errno`; 0 ends it. */
  fail(path: string, operation: Operation, errno: Errno, times = Infinity): void {
    this.#faults.set(`${operation} ${path}`, { errno, times });
  }

  /** The machine, not a writer, changes a file: a thermal limit in `bios_limit`, a driver that shows another speed. */
  set(path: string, text: string): void {
    const place = splitPolicyPath(path);
    if (place?.file === 'bios_limit') this.#model.limitTo(place.directory, Number(text));
    this.#files.set(path, text);
    this.#addToDirectories(path);
  }

  /** The directory vanishes with all that is in it: a driver is unloaded, a CPU is taken out. */
  remove(directory: string): void {
    for (const path of this.#files.keys()) if (path.startsWith(`${directory}/`)) this.#files.delete(path);
    for (const path of this.#directories.keys()) {
      if (path === directory || path.startsWith(`${directory}/`)) this.#directories.delete(path);
    }
    const parent = directory.slice(0, directory.lastIndexOf('/'));
    this.#directories.get(parent)?.delete(directory.slice(parent.length + 1));
    this.#model.forget(directory);
  }

  /** Files appear, as with a driver that is loaded. */
  add(files: Iterable<readonly [string, string]>): void {
    for (const [path, text] of files) {
      this.#files.set(path, text);
      this.#addToDirectories(path);
      const place = splitPolicyPath(path);
      if (place !== undefined) this.#model.forget(place.directory);
    }
  }

  read(path: string): SysfsResult<string> {
    const fault = this.#fault('read', path);
    if (fault !== undefined) return fault;
    const failure = (errno: Errno) => fail('read', path, errno);
    const recorded = this.#files.get(path);
    if (this.#gone(path)) return failure('ENOENT');
    if (recorded === undefined) return failure(this.#directories.has(path) ? 'EISDIR' : 'ENOENT');
    if (path === `${CPU_DIRECTORY}/online` || path === `${CPU_DIRECTORY}/offline`) {
      return success(this.#hotplugged(path, recorded));
    }
    const place = splitPolicyPath(path);
    if (place !== undefined && this.#inactive(place.directory)) return failure('EBUSY');
    if (place?.file === 'affected_cpus') return success(this.#activeCpus(place.directory).join(' '));
    return success(this.#model.read(path) ?? this.#cpusets.read(path) ?? recorded);
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
    if (names === undefined || this.#gone(path))
      return fail('list', path, this.#files.has(path) ? 'ENOTDIR' : 'ENOENT');
    return success(naturalOrder(names));
  }

  close(): void {
    // Nothing is kept open.
  }

  #take(path: string, text: string): Errno | undefined {
    const cpu = /^devices\/system\/cpu\/cpu(\d+)\/online$/.exec(path);
    if (cpu !== null) return this.#plug(Number(cpu[1]), path, text.trim());
    if (this.#cpusets.writable(path)) return this.#cpusets.write(path, text);
    // Unlike sysfs, cgroupfs lets root open what nobody can write.
    if (this.#cpusets.read(path) !== undefined) return 'EINVAL';
    // sysfs looks at the mode when the file is opened, before anything else can go wrong.
    if (!this.#model.writable(path)) return 'EACCES';
    const place = splitPolicyPath(path);
    if (place !== undefined && this.#inactive(place.directory)) return 'EBUSY';
    return this.#model.write(path, text);
  }

  #plug(cpu: number, path: string, text: string): Errno | undefined {
    if (text !== '0' && text !== '1') return 'EINVAL';
    this.#files.set(path, text);
    const away = this.#policyDirectories().filter((directory) => this.#inactive(directory));
    if (text === '0') this.#offlineCpus.add(cpu);
    else this.#offlineCpus.delete(cpu);
    for (const directory of away) if (!this.#inactive(directory)) this.#model.policyComes(directory);
    return undefined;
  }

  #policyNames(): readonly string[] {
    return [...(this.#directories.get(CPUFREQ_DIRECTORY) ?? [])].filter((name) => /^policy\d+$/.test(name));
  }

  #policyDirectories(): readonly string[] {
    return this.#policyNames().map(policyDirectory);
  }

  #gone(path: string): boolean {
    const cpu = ONLINE_ONLY.exec(path)?.[1];
    return cpu !== undefined && this.#offlineCpus.has(Number(cpu));
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
