import { closeSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { unlessGone } from './unless-gone.ts';

/** The CPU time that a process or a thread has used, and its start, which tells it from a later one of the same id. */
export interface CpuTimes {
  readonly startTicks: number;
  readonly cpuTicks: number;
}

/** Where times are looked up; /proc, but for tests. */
export interface ProcessTimes {
  /** All threads of a process together, ended ones too; undefined where there is no such process. */
  ofProcess(pid: number): CpuTimes | undefined;
  /** By thread id; empty where there is no such process. */
  ofThreads(pid: number): ReadonlyMap<number, CpuTimes>;
}

export const procTimes: ProcessTimes = {
  ofProcess: (pid) => readTimes(`/proc/${pid}/stat`),
  ofThreads(pid) {
    const threads = new Map<number, CpuTimes>();
    const names = unlessGone(() => readdirSync(`/proc/${pid}/task`)) ?? [];
    for (const name of names) {
      const times = readTimes(`/proc/${pid}/task/${name}/stat`);
      if (times !== undefined) threads.set(Number(name), times);
    }
    return threads;
  },
};

/** PROC_PID_INIT_INO of include/linux/proc_ns.h */
const INITIAL_PID_NAMESPACE = `pid:[${0xefff_fffc}]`;

/** Whether process ids that come from the kernel, which are those of the initial namespace, mean the same in our /proc. */
export function inInitialPidNamespace(): boolean {
  return readlinkSync('/proc/self/ns/pid') === INITIAL_PID_NAMESPACE;
}

/** The text of /proc/PID/stat, see proc(5): the name in parentheses may hold spaces and parentheses itself. */
export function parseStat(stat: string): CpuTimes {
  // From field 3, the state, on: utime, stime and starttime are fields 14, 15 and 22.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { cpuTicks: Number(fields[11]) + Number(fields[12]), startTicks: Number(fields[19]) };
}

/** Longer than any: some fifty numbers and a name of 15 letters. */
const STAT = Buffer.alloc(4096);

function readTimes(file: string): CpuTimes | undefined {
  const length = unlessGone(() => {
    // readFileSync() would also ask for the size, which /proc does not tell, and read once more to find the end.
    const descriptor = openSync(file, 'r');
    try {
      return readSync(descriptor, STAT);
    } finally {
      closeSync(descriptor);
    }
  });
  return length === undefined ? undefined : parseStat(STAT.toString('latin1', 0, length));
}
