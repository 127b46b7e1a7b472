import type { SysfsTree } from '../core/sysfs-tree.ts';
import { policyDirectory } from '../sysfs/cpufreq-paths.ts';
import type { PolicyInfo } from './discover-machine.ts';
import { METHOD_KINDS, type FrequencyMethod, type PolicyFile } from './frequency-method.ts';
import type { ControlRecord } from './journal.ts';

/**
 * The switch of boost first, since it decides about the range; then back to full speed; a speed and a preference only once
 * the governor that hid them has gone.
 */
export const BOOST_ORDER = 0;
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
    if (preference.ok) records.push(record('energy_performance_preference', preference.value));
    const speed = governor.value === 'userspace' ? tree.read(pathOf('scaling_setspeed')) : null;
    if (speed?.ok === false) return null;
    if (speed?.ok === true) records.push(record('scaling_setspeed', speed.value));
  }
  return records;
}

/** The settings of full speed, in the form in which originals are put back. */
export function fullSpeedOf(policy: PolicyInfo, method: FrequencyMethod): readonly ControlRecord[] {
  return METHOD_KINDS[method]
    .settings(policy.allowedMaxKhz, () => null)
    .map(([file, original]) => {
      return { control: `${policyDirectory(policy.id)}/${file}`, original, order: ORDER[file], driver: policy.driver };
    });
}
