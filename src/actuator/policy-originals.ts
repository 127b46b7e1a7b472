import type { Errno, SysfsFailure, SysfsTree } from '../core/sysfs-tree.ts';
import { CPUFREQ_DIRECTORY, policyDirectory } from '../sysfs/cpufreq-paths.ts';
import type { PolicyInfo } from './discover-machine.ts';
import { METHOD_KINDS, type FrequencyMethod, type PolicyFile } from './frequency-method.ts';
import type { ControlRecord } from './journal.ts';

/**
 * The switch of boost first, since it decides about the range; then back to full speed; a speed and a preference only once
 * the governor that hid them has gone.
 */
export const BOOST_ORDER = 0;
/** What a policy answers whose CPUs, or whose driver, are away. */
const GONE: ReadonlySet<Errno> = new Set(['EBUSY', 'ENODEV', 'ENOENT']);
const NO_PREFERENCE: ReadonlySet<Errno> = new Set(['ENOENT', 'EINVAL']);
const ORDER: Readonly<Record<PolicyFile, number>> = {
  scaling_max_freq: 1,
  scaling_min_freq: 1,
  scaling_governor: 2,
  scaling_setspeed: 3,
  energy_performance_preference: 3,
};

/**
 * What has to be put back after the method has governed the policy.
 * @returns null where an original cannot be read, so that the policy must not be touched
 */
export function originalsOf(
  tree: SysfsTree,
  policy: PolicyInfo,
  method: FrequencyMethod,
): readonly ControlRecord[] | null {
  const { driver, id, originalMaxKhz } = policy;
  const pathOf = (file: PolicyFile) => `${policyDirectory(id)}/${file}`;
  const record = (file: PolicyFile, original: string): ControlRecord => {
    return { control: pathOf(file), original, order: ORDER[file], driver };
  };
  const governor = tree.read(pathOf('scaling_governor'));
  if (!governor.ok) return null;

  const records: ControlRecord[] = [];
  const { files, governor: needed } = METHOD_KINDS[method];
  if (files.includes('scaling_max_freq')) records.push(record('scaling_max_freq', String(originalMaxKhz)));
  if (files.includes('scaling_min_freq')) {
    const min = tree.read(pathOf('scaling_min_freq'));
    if (!min.ok) return null;
    records.push(record('scaling_min_freq', min.value));
  }
  if (needed !== null) {
    records.push(record('scaling_governor', governor.value));
    // Governor performance changes the preference with some drivers; a custom one cannot be read with amd-pstate.
    const preference = tree.read(pathOf('energy_performance_preference'));
    if (!preference.ok && !NO_PREFERENCE.has(preference.errno)) return null;
    if (!preference.ok && files.includes('energy_performance_preference')) return null;
    if (preference.ok) records.push(record('energy_performance_preference', preference.value));
    const speed = governor.value === 'userspace' ? tree.read(pathOf('scaling_setspeed')) : null;
    if (speed?.ok === false) return null;
    if (speed?.ok === true) records.push(record('scaling_setspeed', speed.value));
  }
  return records;
}

/**
 * The ranges of all policies, as far as they are not in `records`. A policy that is away has none: it begins anew when it comes.
 * @returns the first that cannot be read
 */
export function rangesOfOthers(
  tree: SysfsTree,
  records: readonly ControlRecord[],
): readonly ControlRecord[] | SysfsFailure {
  const names = tree.list(CPUFREQ_DIRECTORY);
  if (!names.ok) return names;
  const known = new Set(records.map(({ control }) => control));
  const others = names.value.filter((name) => /^policy\d+$/.test(name));
  const found: ControlRecord[] = [];
  for (const name of others) {
    const driver = tree.read(`${policyDirectory(name)}/scaling_driver`);
    for (const file of ['scaling_max_freq', 'scaling_min_freq'] as const) {
      const control = `${policyDirectory(name)}/${file}`;
      if (known.has(control)) continue;
      const shown = tree.read(control);
      // With its driver, so that it stands before what the policy shows once it can be governed.
      const record = { control, order: ORDER[file], ...(driver.ok ? { driver: driver.value } : {}) };
      if (shown.ok) found.push({ ...record, original: shown.value });
      else if (!GONE.has(shown.errno)) return shown;
    }
  }
  return found;
}

/** The settings of full speed, in the form in which originals are put back. */
export function fullSpeedOf(policy: PolicyInfo, method: FrequencyMethod): readonly ControlRecord[] {
  return METHOD_KINDS[method]
    .settings(policy.allowedMaxKhz, policy, () => null)
    .map(([file, original]) => {
      return { control: `${policyDirectory(policy.id)}/${file}`, original, order: ORDER[file], driver: policy.driver };
    });
}
