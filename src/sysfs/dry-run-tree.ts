import type { SysfsFailure, SysfsTree } from '../core/sysfs-tree.ts';
import { CpufreqPolicy } from './cpufreq-policy.ts';
import { splitPolicyPath } from './cpufreq-paths.ts';

/**
 * Looks like `base` and never changes it: reads pass through until a cpufreq policy is first written to, from when a model
 * of that policy, made from the files of `base`, answers writes and reads as the kernel would. Writes to anything else are
 * refused (EACCES). Later changes in `base` to the files of a policy that was written to stay unseen.
 */
export function dryRunTree(base: SysfsTree): SysfsTree {
  const policies = new Map<string, CpufreqPolicy>();

  return {
    root: `${base.root} (dry run)`,
    read(path) {
      const place = splitPolicyPath(path);
      const policy = place === undefined ? undefined : policies.get(place.directory);
      const modelled = place === undefined ? undefined : policy?.read(place.file);
      return modelled === undefined ? base.read(path) : { ok: true, value: modelled };
    },
    write(path, text) {
      const failure = (errno: SysfsFailure['errno']): SysfsFailure => ({ ok: false, operation: 'write', path, errno });
      // What cannot be read here (an absent file, the policy of an offline CPU) cannot be written either.
      const before = base.read(path);
      if (!before.ok) return failure(before.errno);
      const place = splitPolicyPath(path);
      if (place === undefined) return failure('EACCES');
      const policy =
        policies.get(place.directory) ??
        CpufreqPolicy.from((file) => {
          const result = base.read(`${place.directory}/${file}`);
          return result.ok ? result.value : undefined;
        });
      if (policy === undefined) return failure('EACCES');
      policies.set(place.directory, policy);
      const errno = policy.write(place.file, text);
      return errno === undefined ? { ok: true, value: undefined } : failure(errno);
    },
    list: (path) => base.list(path),
    close: () => base.close(),
  };
}
