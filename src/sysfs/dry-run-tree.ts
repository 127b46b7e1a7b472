import { dirname } from 'node:path/posix';
import type { SysfsFailure, SysfsTree } from '../core/sysfs-tree.ts';
import { CpufreqModel } from './cpufreq-model.ts';
import { CPUFREQ_DIRECTORY } from './cpufreq-paths.ts';

const EFFECTIVE = /cpuset\.(?:cpus\.effective|effective_cpus)$/;

/**
 * Looks like `base` and never changes it: reads pass through until a cpufreq file is first written to, from when a model
 * of that policy, made from the files of `base`, answers writes and reads as the kernel would. What is written to a cpuset is
 * remembered, and shown as its effect. Writes to anything else are refused (EACCES). Later changes in `base` to the files of a
 * policy that was written to stay unseen, but for a policy that goes (an offline CPU).
 */
export function dryRunTree(base: SysfsTree): SysfsTree {
  const model = new CpufreqModel(
    (path) => {
      const result = base.read(path);
      return result.ok ? result.value : undefined;
    },
    () => {
      const names = base.list(CPUFREQ_DIRECTORY);
      return names.ok ? names.value.filter((name) => /^policy\d+$/.test(name)) : [];
    },
  );

  /** By the path of `cpuset.cpus`. */
  const cpusets = new Map<string, string>();

  return {
    root: `${base.root} (dry run)`,
    read(path) {
      const modelled = cpusets.get(path.replace(EFFECTIVE, 'cpuset.cpus')) ?? model.read(path);
      if (modelled !== undefined && EFFECTIVE.test(path)) return { ok: true, value: modelled };
      if (modelled === undefined) return base.read(path);
      const there = base.read(path);
      return there.ok ? { ok: true, value: modelled } : there;
    },
    write(path, text) {
      const failure = (errno: SysfsFailure['errno']): SysfsFailure => ({ ok: false, operation: 'write', path, errno });
      if (/^fs\/cgroup\/.*\/cpuset\.cpus$/.test(path) && base.list(dirname(path)).ok) {
        // Empty is whatever the parent has, which is what shows without us.
        if (text === '') cpusets.delete(path);
        else cpusets.set(path, text);
        return { ok: true, value: undefined };
      }
      // What cannot be read here (an absent file, the policy of an offline CPU) cannot be written either.
      const before = base.read(path);
      if (!before.ok) return failure(before.errno);
      const errno = model.writable(path) ? model.write(path, text) : 'EACCES';
      return errno === undefined ? { ok: true, value: undefined } : failure(errno);
    },
    list: (path) => base.list(path),
    close: () => base.close(),
  };
}
