import type { SysfsTree } from '../core/sysfs-tree.ts';
import { type KiloHertz, kiloHertz } from '../core/units.ts';
import { CPUFREQ_DIRECTORY, policyDirectory } from './cpufreq-paths.ts';

/** What the CPUs run at, the mean over cpufreq's policies; null where there is no cpufreq. */
export function currentFrequencyKhz(tree: SysfsTree): KiloHertz | null {
  const policies = tree.list(CPUFREQ_DIRECTORY);
  const known = (policies.ok ? policies.value : []).flatMap((policy) => {
    const text = tree.read(`${policyDirectory(policy)}/scaling_cur_freq`);
    const khz = text.ok ? Number(text.value) : 0;
    return khz > 0 ? [khz] : [];
  });
  if (known.length === 0) return null;
  return kiloHertz(Math.round(known.reduce((sum, khz) => sum + khz, 0) / known.length));
}
