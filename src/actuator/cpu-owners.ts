import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { Errno, SysfsTree } from '../core/sysfs-tree.ts';
import { NativeError } from '../native/native-error.ts';
import { affinityOf, setAffinity } from '../native/sched.ts';
import { isAbsent } from './absent.ts';
import { cpusetFile } from './cgroup-paths.ts';
import { identityOf } from './process-identity.ts';

/** Masks of threads, as the kernel keeps them. */
export interface Threads {
  /** Lines of /proc/PID/cgroup; empty where there is no such process. */
  cgroupsOf(pid: number): readonly string[];
  /** Empty where there is no such process. */
  threadsOf(pid: number): readonly number[];
  /** In ticks since the boot; null where there is no such thread. */
  startOf(tid: number): number | null;
  /** null where there is no such thread. */
  maskOf(tid: number): readonly number[] | null;
  /** @returns null when done, or why not */
  setMask(tid: number, cpus: readonly number[]): Errno | null;
}

/** systemd, the only writer of the control groups of its units. */
export interface Units {
  /** Whether it governs this machine's control groups. */
  readonly present: boolean;
  /** The unit's AllowedCPUs, empty where it has none; null where it cannot be read. */
  allowedCpus(unit: string): string | null;
  /**
   * Until the next boot. @param cgroup the unit's control group, below the hierarchy's root
   * @returns null when done, or systemd's complaint
   */
  setAllowedCpus(unit: string, list: string, cgroup: string): string | null;
}

/** Who decides, besides files of a tree, about which CPUs a process runs on. */
export interface CpuOwners {
  readonly threads: Threads;
  readonly units: Units;
}

const threads: Threads = {
  cgroupsOf: (pid) => textOf(`/proc/${pid}/cgroup`)?.trim().split('\n') ?? [],
  threadsOf(pid) {
    try {
      return readdirSync(`/proc/${pid}/task`).map(Number);
    } catch (error) {
      if (isAbsent(error)) return [];
      throw error;
    }
  },
  startOf: (tid) => identityOf(tid)?.startTicks ?? null,
  maskOf(tid) {
    try {
      return affinityOf(tid);
    } catch (error) {
      if (error instanceof NativeError) return null;
      throw error;
    }
  },
  setMask(tid, cpus) {
    try {
      setAffinity(tid, cpus);
      return null;
    } catch (error) {
      if (error instanceof NativeError) return error.errnoName;
      throw error;
    }
  },
};

/** A call of systemctl takes about 10 ms, on a busy machine seconds; less than it takes for the loop to be given up as stuck. */
const PATIENCE_MS = 4000;

const units: Units = {
  // As sd_booted(3) tells.
  present: existsSync('/run/systemd/system'),
  allowedCpus(unit) {
    const { status, stdout } = systemctl(['show', '--property=AllowedCPUs', '--value', '--', unit]);
    return status === 0 ? stdout.trim() : null;
  },
  setAllowedCpus(unit, list) {
    const { status, stderr, error } = systemctl(['set-property', '--runtime', '--', unit, `AllowedCPUs=${list}`]);
    return status === 0 ? null : (error?.message ?? stderr.trim().replaceAll('\n', ' '));
  },
};

function systemctl(given: readonly string[]) {
  const env = { ...process.env, SYSTEMD_PAGER: 'cat', LC_ALL: 'C' };
  return spawnSync('systemctl', [...given], { encoding: 'utf8', timeout: PATIENCE_MS, env });
}

export const kernelOwners: CpuOwners = { threads, units };

/** The same. @param alive told before each call that may take long, so that several in a row are not taken for one that hangs */
export const kernelOwnersTelling = (alive: () => void): CpuOwners => ({
  threads,
  units: {
    present: units.present,
    allowedCpus(unit) {
      alive();
      return units.allowedCpus(unit);
    },
    setAllowedCpus(unit, list, cgroup) {
      alive();
      return units.setAllowedCpus(unit, list, cgroup);
    },
  },
});

/** A systemd that writes cpusets into this tree, as in a dry run. @param property what it has for AllowedCPUs so far */
export function unitsIn(tree: SysfsTree, present: boolean, property: Units['allowedCpus']): Units {
  const set = new Map<string, string>();
  return {
    present,
    allowedCpus: (unit) => set.get(unit) ?? property(unit),
    setAllowedCpus(unit, list, cgroup) {
      const write = tree.write(cpusetFile(cgroup), list);
      // systemd takes the controller away where no unit needs it.
      if (!write.ok && list !== '') return `write ${write.path}: ${write.errno}`;
      set.set(unit, list);
      return null;
    },
  };
}

/** For a dry run: reads pass through, what is set is remembered and shown. @param tree where writes land in memory */
export function rememberedOwners(tree: SysfsTree, base: CpuOwners): CpuOwners {
  return {
    threads: rememberedThreads(base.threads),
    units: unitsIn(tree, base.units.present, (unit) => base.units.allowedCpus(unit)),
  };
}

/** Masks that are remembered and never set. */
function rememberedThreads(base: Threads): Threads {
  const masks = new Map<number, readonly number[]>();
  return {
    cgroupsOf: (pid) => base.cgroupsOf(pid),
    threadsOf: (pid) => base.threadsOf(pid),
    startOf: (tid) => base.startOf(tid),
    maskOf: (tid) => masks.get(tid) ?? base.maskOf(tid),
    setMask(tid, cpus) {
      if (base.maskOf(tid) === null) return 'ESRCH';
      masks.set(tid, [...cpus]);
      return null;
    },
  };
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
