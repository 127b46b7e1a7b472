import { basename, dirname } from 'node:path/posix';
import type { Errno } from '../core/sysfs-tree.ts';
import { formatCpuList, parseCpuList } from '../core/cpu-list.ts';

const ROOT1 = 'fs/cgroup/cpuset';
const ROOT2 = 'fs/cgroup';
const FILES: ReadonlySet<string> = new Set(['cpuset.cpus', 'cpuset.cpus.effective', 'cpuset.effective_cpus']);

export interface CpusetSource {
  /** A file of the machine, as it is recorded. */
  readonly file: (path: string) => string | undefined;
  /** Names in a directory. */
  readonly list: (path: string) => readonly string[];
  readonly onlineCpus: () => readonly number[];
  /** The highest number that a CPU may have. */
  readonly highestCpu: () => number;
}

/**
 * Cpusets that answer as the kernel's (validate_change in kernel/cgroup/cpuset.c, Linux 6.1), of version 2 and, below
 * `fs/cgroup/cpuset`, of version 1. A control group has tasks where its `cgroup.procs` is not empty.
 */
export class CpusetModel {
  readonly #source: CpusetSource;
  /** By directory: what was asked for. */
  readonly #asked = new Map<string, string>();

  constructor(source: CpusetSource) {
    this.#source = source;
  }

  /** The file's text; undefined where it is none of these or not there. */
  read(path: string): string | undefined {
    if (!FILES.has(basename(path)) || this.#source.file(path) === undefined) return undefined;
    const directory = dirname(path);
    return formatCpuList(basename(path) === 'cpuset.cpus' ? this.#askedOf(directory) : this.#effective(directory));
  }

  writable(path: string): boolean {
    return basename(path) === 'cpuset.cpus' && path.startsWith(`${ROOT2}/`) && this.#source.file(path) !== undefined;
  }

  write(path: string, text: string): Errno | undefined {
    const directory = dirname(path);
    const old = isV1(directory);
    if (old && directory === ROOT1) return 'EACCES';
    const cpus = parseCpuList(text);
    if (cpus === undefined) return 'EINVAL';
    if (cpus.some((cpu) => cpu > this.#source.highestCpu())) return 'ERANGE';
    const within = (inner: readonly number[], outer: readonly number[]) => inner.every((cpu) => outer.includes(cpu));
    if (old) {
      if (!within(cpus, this.#source.onlineCpus())) return 'EINVAL';
      if (this.#children(directory).some((child) => !within(this.#askedOf(child), cpus))) return 'EBUSY';
      if (!within(cpus, this.#askedOf(dirname(directory)))) return 'EACCES';
      const siblings = this.#children(dirname(directory)).filter((other) => other !== directory);
      const exclusive = (other: string) => [other, directory].some((each) => this.#isExclusive(each));
      if (
        siblings.some((other) => exclusive(other) && this.#askedOf(other).some((cpu) => cpus.includes(cpu as never)))
      ) {
        return 'EINVAL';
      }
    }
    if (cpus.length === 0 && this.#askedOf(directory).length > 0 && this.#isPopulated(directory)) return 'ENOSPC';
    this.#asked.set(directory, formatCpuList(cpus));
    return undefined;
  }

  #askedOf(directory: string): readonly number[] {
    const text = this.#asked.get(directory) ?? this.#source.file(`${directory}/cpuset.cpus`) ?? '';
    const cpus = parseCpuList(text) ?? [];
    // Version 1 drops a CPU that goes, for good.
    return isV1(directory) ? cpus.filter((cpu) => this.#source.onlineCpus().includes(cpu)) : cpus;
  }

  #effective(directory: string): readonly number[] {
    if (isV1(directory)) return this.#askedOf(directory);
    if (directory === ROOT2 || !directory.includes('/')) return this.#source.onlineCpus();
    const above = this.#effective(dirname(directory));
    const asked = this.#askedOf(directory).filter((cpu) => above.includes(cpu));
    return asked.length === 0 ? above : asked;
  }

  #children(directory: string): readonly string[] {
    return this.#source
      .list(directory)
      .map((name) => `${directory}/${name}`)
      .filter((child) => this.#source.file(`${child}/cpuset.cpus`) !== undefined);
  }

  #isExclusive(directory: string): boolean {
    return this.#source.file(`${directory}/cpuset.cpu_exclusive`) === '1';
  }

  #isPopulated(directory: string): boolean {
    const procs = this.#source.file(`${directory}/cgroup.procs`) ?? '';
    return procs !== '' || (!isV1(directory) && this.#children(directory).some((child) => this.#isPopulated(child)));
  }
}

const isV1 = (directory: string) => directory === ROOT1 || directory.startsWith(`${ROOT1}/`);
