import type { Clock } from '../core/clock.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import { NS_PER_S } from '../core/units.ts';
import { MAX_PERF_PCT, NO_TURBO, policyDirectory } from '../sysfs/cpufreq-paths.ts';
import type { PolicyInfo } from './discover-machine.ts';
import { Throttling } from './throttling.ts';

const COOLING_DIRECTORY = 'class/thermal';
const COOLING_FRESH_NS = BigInt(NS_PER_S);
/** What is computed from a percentage or from megahertz differs from what shows by less. */
const TOLERANCE_KHZ = 1000;

interface CoolingDevice {
  readonly type: string;
  readonly state: number;
}

/** Somebody who is no writer of cpufreq files, and keeps a policy slower than it was asked to be. */
export interface FrequencyLimit {
  /** The highest frequency that it leaves; null where that cannot be known. */
  readonly khz: number | null;
  /** For humans. */
  readonly detail: string;
}

/**
 * Tells limits from foreign writers: the firmware's `bios_limit`, a switched-off turbo, `max_perf_pct`, cooling devices in
 * action (Documentation/driver-api/thermal/sysfs-api.rst) and CPUs that are throttled. Reads a dozen files and more: only to
 * be asked when something is amiss.
 */
export class FrequencyLimits {
  readonly throttling: Throttling;
  readonly #tree: SysfsTree;
  readonly #clock: Clock;
  #active: { readonly atNs: bigint; readonly devices: readonly CoolingDevice[] } | null = null;

  constructor(tree: SysfsTree, clock: Clock) {
    this.#tree = tree;
    this.#clock = clock;
    this.throttling = new Throttling(tree, clock);
  }

  on(policy: PolicyInfo): readonly FrequencyLimit[] {
    const directory = policyDirectory(policy.id);
    const limits: FrequencyLimit[] = [];
    const biosKhz = this.#number(`${directory}/bios_limit`);
    if (biosKhz !== null && biosKhz < policy.maxKhz) {
      limits.push({ khz: stepAtOrBelow(policy, biosKhz), detail: `the firmware allows ${biosKhz} (bios_limit)` });
    }
    if (this.#number(NO_TURBO) === 1) {
      limits.push({ khz: this.#number(`${directory}/base_frequency`), detail: 'turbo is off (no_turbo)' });
    }
    const hardwareKhz = this.#number(`${directory}/cpuinfo_max_freq`);
    if (hardwareKhz !== null && hardwareKhz < policy.maxKhz) {
      limits.push({ khz: hardwareKhz, detail: `the hardware's maximum has become ${hardwareKhz}, as without boost` });
    }
    const maxPercent = this.#number(MAX_PERF_PCT);
    if (maxPercent !== null && maxPercent < 100) {
      limits.push({ khz: (policy.maxKhz * maxPercent) / 100, detail: `max_perf_pct is ${maxPercent}` });
    }
    const throttled = this.throttling.look(policy);
    const heat = throttled === null ? [] : [{ khz: null, detail: throttled.detail }];
    return [...limits, ...this.#cooling(policy), ...heat];
  }

  #cooling(policy: PolicyInfo): readonly FrequencyLimit[] {
    return this.#activeCooling()
      .filter(({ type }) => cools(type, policy))
      .map(({ type, state }) => ({ khz: null, detail: `cooling device ${type} is at ${state}` }));
  }

  /** Some machines have one for each CPU: they are looked through once for all policies. */
  #activeCooling(): readonly CoolingDevice[] {
    const nowNs = this.#clock.monotonicNs();
    if (this.#active !== null && nowNs - this.#active.atNs < COOLING_FRESH_NS) return this.#active.devices;
    const names = this.#tree.list(COOLING_DIRECTORY);
    const devices = (names.ok ? names.value : []).flatMap((name): CoolingDevice | readonly never[] => {
      const state = name.startsWith('cooling_device') ? this.#number(`${COOLING_DIRECTORY}/${name}/cur_state`) : null;
      const type = state === null || state === 0 ? null : this.#tree.read(`${COOLING_DIRECTORY}/${name}/type`);
      return type?.ok === true && state !== null ? { type: type.value, state } : [];
    });
    this.#active = { atNs: nowNs, devices };
    return devices;
  }

  #number(path: string): number | null {
    const result = this.#tree.read(path);
    const value = result.ok ? Number.parseInt(result.value, 10) : NaN;
    return Number.isNaN(value) ? null : value;
  }
}

/** The limit that makes the kernel show less than was written, if one of them does. */
export function explaining(limits: readonly FrequencyLimit[], readsKhz: number): FrequencyLimit | undefined {
  return limits.find(({ khz }) => khz === null || readsKhz >= khz - TOLERANCE_KHZ);
}

/** `Processor` (drivers/acpi/processor_thermal.c) does not say which; `cpufreq-cpu4` is the policy that has CPU 4. */
function cools(type: string, policy: PolicyInfo): boolean {
  const cpu = /^cpufreq-cpu(\d+)$/.exec(type)?.[1];
  if (cpu !== undefined) return policy.cpus.some((own) => own === Number(cpu));
  return type === 'Processor' || /^thermal-cpufreq-\d+$/.test(type);
}

function stepAtOrBelow({ stepsKhz }: PolicyInfo, khz: number): number {
  return stepsKhz?.findLast((step) => step <= khz) ?? stepsKhz?.[0] ?? khz;
}
