import { kiloHertz, type KiloHertz } from '../core/units.ts';

/**
 * The names of energy preferences that say by themselves which is faster, ascending: what `default` stands for, the firmware
 * decides. See "Energy vs Performance Hints" in Documentation/admin-guide/pm/intel_pstate.rst and
 * energy_performance_preference in Documentation/admin-guide/pm/amd-pstate.rst.
 */
const ASCENDING = ['power', 'balance_power', 'balance_performance', 'performance'] as const;

/**
 * Those that a policy offers, ascending.
 * @param offered what `energy_performance_available_preferences` shows
 */
export function preferencesAmong(offered: readonly string[], driver: string, governor: string): readonly string[] {
  // Under `performance` amd-pstate shows that one alone; the others are the driver's, the same for all CPUs.
  const hidden = driver === 'amd-pstate-epp' && governor === 'performance' && offered.length > 0;
  return hidden ? ASCENDING : ASCENDING.filter((name) => offered.includes(name));
}

/** A range in which preferences, slowest first, are taken for frequencies. */
interface PreferenceRange {
  readonly preferences: readonly string[];
  readonly allowedMinKhz: KiloHertz;
  readonly allowedMaxKhz: KiloHertz;
}

/**
 * What a preference counts for, so that a level can become one: the range in equal steps. It is a place in an order and no
 * speed: at which frequency the hardware runs under it, it decides by its own idea of the load.
 * @returns null for a name that is none of the policy's
 */
export function preferenceKhz(range: PreferenceRange, name: string): KiloHertz | null {
  const { preferences, allowedMinKhz, allowedMaxKhz } = range;
  const rank = preferences.indexOf(name);
  if (rank < 0) return null;
  const share = rank / Math.max(1, preferences.length - 1);
  return kiloHertz(Math.round(allowedMinKhz + (allowedMaxKhz - allowedMinKhz) * share));
}

/** The lowest preference that counts for at least as much. */
export function preferenceFor(range: PreferenceRange, khz: KiloHertz): string {
  const enough = range.preferences.find((name) => khz < range.allowedMaxKhz && preferenceKhz(range, name)! >= khz);
  return enough ?? range.preferences.at(-1)!;
}

/** The policy with what its preferences count for in the place of its frequencies. */
export function preferencesAsSteps<Policy extends PreferenceRange>(policy: Policy) {
  const stepsKhz = policy.preferences.map((name) => preferenceKhz(policy, name)!);
  return { ...policy, stepsKhz: [...new Set(stepsKhz)] };
}
