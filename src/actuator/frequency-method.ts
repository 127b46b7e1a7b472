import { ActuatorError } from '../core/errors.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import type { KiloHertz } from '../core/units.ts';
import { isSelfGoverned } from '../sysfs/cpufreq-paths.ts';
import { discoverDomains, type PolicyInfo } from './discover-machine.ts';
import { preferenceFor, preferencesAsSteps } from './energy-preference.ts';

/**
 * How a frequency is set. In the order in which `auto` prefers them:
 *
 * - `cap`: governor `performance`, which runs at `scaling_max_freq`. One write a change, exact with every driver: active
 *   intel_pstate and amd-pstate make minimum and maximum one under their `performance` and set the energy preference with it.
 *   (Under their `powersave` the hardware chooses any speed below the cap by its own idea of the load. A level would then be
 *   no speed: raising it may change nothing.)
 * - `pin`: `scaling_min_freq` = `scaling_max_freq`, which leaves no governor a choice. Two writes a change; works under any
 *   governor, so that the governor and the energy preference stay the operator's.
 * - `setspeed`: governor `userspace` and `scaling_setspeed`. One write a change, the range stays the operator's; not with
 *   drivers that govern themselves.
 * - `epp`: the energy preference of a driver that governs itself, under its `powersave`. One write a change, and the range
 *   stays the operator's; but it is a hint, and no speed, so that `auto` never takes it where another is possible.
 */
export type FrequencyMethod = 'cap' | 'pin' | 'setspeed' | 'epp';

export const FREQUENCY_METHODS: readonly FrequencyMethod[] = ['cap', 'pin', 'setspeed', 'epp'];

/** What a driver is governed by that comes when there was none. */
export const FIRST_CHOICE: FrequencyMethod = 'cap';

/** The files of a policy that methods write, and those that are restored with them. */
export type PolicyFile =
  'scaling_governor' | 'scaling_max_freq' | 'scaling_min_freq' | 'scaling_setspeed' | 'energy_performance_preference';

/** A file of a policy, and the text that it is to have. */
export type Setting = readonly [file: PolicyFile, text: string];

interface MethodKind {
  /** null: any. */
  readonly governor: 'performance' | 'userspace' | 'powersave' | null;
  readonly summary: string;
  /** The file that shows what became of a frequency. */
  readonly shownIn: PolicyFile;
  /** Every file that the method writes. */
  readonly files: readonly PolicyFile[];
  /**
   * In the order of the writes.
   * @param policy whose they are
   * @param shownMaxKhz reads `scaling_max_freq` before, so that no minimum ever exceeds its maximum on the way
   */
  settings(khz: KiloHertz, policy: PolicyInfo, shownMaxKhz: () => number | null): readonly Setting[];
}

export const METHOD_KINDS: Readonly<Record<FrequencyMethod, MethodKind>> = {
  cap: {
    governor: 'performance',
    summary: 'governor performance under scaling_max_freq',
    shownIn: 'scaling_max_freq',
    files: ['scaling_governor', 'scaling_max_freq'],
    settings: (khz) => [
      ['scaling_governor', 'performance'],
      ['scaling_max_freq', String(khz)],
    ],
  },
  pin: {
    governor: null,
    summary: 'scaling_min_freq = scaling_max_freq under any governor',
    shownIn: 'scaling_max_freq',
    files: ['scaling_max_freq', 'scaling_min_freq'],
    settings(khz, _policy, shownMaxKhz) {
      const max: Setting = ['scaling_max_freq', String(khz)];
      const min: Setting = ['scaling_min_freq', String(khz)];
      return khz > (shownMaxKhz() ?? 0) ? [max, min] : [min, max];
    },
  },
  setspeed: {
    governor: 'userspace',
    summary: 'governor userspace with scaling_setspeed',
    shownIn: 'scaling_setspeed',
    files: ['scaling_governor', 'scaling_setspeed'],
    settings: (khz) => [
      ['scaling_governor', 'userspace'],
      ['scaling_setspeed', String(khz)],
    ],
  },
  epp: {
    governor: 'powersave',
    summary: 'energy_performance_preference under the driver’s own powersave',
    shownIn: 'energy_performance_preference',
    files: ['scaling_governor', 'energy_performance_preference'],
    settings: (khz, policy) => [
      // First: under `performance` any other preference is EBUSY.
      ['scaling_governor', 'powersave'],
      ['energy_performance_preference', preferenceFor(policy, khz)],
    ],
  },
};

/** What the method sees of a policy. */
export const seenBy = (method: FrequencyMethod, policy: PolicyInfo): PolicyInfo =>
  method === 'epp' ? preferencesAsSteps(policy) : policy;

/** A method on this machine. */
export interface MethodDescription {
  readonly method: FrequencyMethod;
  /** What it writes. */
  readonly summary: string;
  /** True for the one that `auto` takes. */
  readonly chosen: boolean;
  /** Why it was chosen, why another came first, or what it lacks. For humans. */
  readonly reason: string;
  /** What makes it possible where it is not. */
  readonly remedy?: string;
}

/** Every method on the machine behind `tree`, best first; none where there is no cpufreq policy. Writes nothing. */
export function describeMethods(tree: SysfsTree): readonly MethodDescription[] {
  const policies = discoverDomains(tree).flatMap((domain) => domain.policies);
  if (policies.length === 0) return [];
  const best = FREQUENCY_METHODS.find((method) => lack(method, policies) === null);
  return FREQUENCY_METHODS.map((method): MethodDescription => {
    const { summary } = METHOD_KINDS[method];
    const lacking = lack(method, policies);
    if (lacking !== null) return { method, summary, chosen: false, ...lacking };
    const reason = method === best ? 'the first that every policy offers' : `possible, after ${best}`;
    return { method, summary, chosen: method === best, reason };
  });
}

/** @throws ActuatorError `no-cpufreq` where no method, or not the one that was asked for, is possible with every policy */
export function chooseMethod(
  asked: 'auto' | FrequencyMethod,
  policies: readonly PolicyInfo[],
  root: string,
): FrequencyMethod {
  if (policies.length === 0) {
    throw new ActuatorError(
      'no-cpufreq',
      `govern frequencies below ${root}: no cpufreq policy of an online CPU; with planner.strategy cores or pack CPUs alone can be governed`,
    );
  }
  const candidates = asked === 'auto' ? FREQUENCY_METHODS : [asked];
  const possible = candidates.find((method) => lack(method, policies) === null);
  if (possible !== undefined) return possible;
  const reasons = candidates.map((method) => `${method}: ${lack(method, policies)!.reason}`);
  throw new ActuatorError('no-cpufreq', `govern frequencies below ${root}: ${reasons.join('; ')}`);
}

/** Can this method set the frequency of this policy? */
export const offers = (method: FrequencyMethod, policy: PolicyInfo): boolean => lack(method, [policy]) === null;

/** What keeps the policies from being governed by the method; null where nothing does. */
function lack(
  method: FrequencyMethod,
  policies: readonly PolicyInfo[],
): { readonly reason: string; readonly remedy?: string } | null {
  if (method === 'epp') return lackOfPreferences(policies);
  const { governor } = METHOD_KINDS[method];
  const lacking = policies.filter(({ governors }) => governor !== null && !governors.includes(governor));
  const first = lacking[0];
  if (first === undefined || governor === null) return null;
  if (isSelfGoverned(first.driver)) return { reason: `${first.driver} governs itself and has no governor ${governor}` };
  const offered = first.governors.join(', ') || 'none';
  return {
    reason: `governor ${governor} expected, offered by ${first.id}: ${offered}`,
    remedy: `load the governor: modprobe cpufreq_${governor}`,
  };
}

/**
 * Only of drivers that govern themselves: beside a governor of cpufreq the preference decides little. A preference that
 * `performance` hides could not be put back: intel_pstate would bring ours to light once the operator leaves that governor.
 */
function lackOfPreferences(policies: readonly PolicyInfo[]): ReturnType<typeof lack> {
  const governed = policies.find(({ driver }) => !isSelfGoverned(driver));
  if (governed !== undefined) {
    return { reason: `${governed.driver} does not choose speeds by an energy preference; drivers in active mode do` };
  }
  const without = policies.find(({ preferences }) => preferences.length < 2);
  if (without !== undefined) return { reason: `${without.id} offers no energy preferences: the CPU lacks them` };
  const hiding = policies.find(({ governor }) => governor !== 'powersave');
  if (hiding === undefined) return null;
  return {
    reason: `governor ${hiding.governor} of ${hiding.id} hides the operator’s preference, which could not be put back`,
    remedy: `before the start: echo powersave >/sys/devices/system/cpu/cpufreq/${hiding.id}/scaling_governor`,
  };
}
