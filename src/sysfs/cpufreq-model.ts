import type { Errno } from '../core/sysfs-tree.ts';
import { parseCpuList } from '../core/cpu-list.ts';
import {
  CPU_DIRECTORY,
  GLOBAL_BOOST,
  INTEL_PSTATE_DIRECTORY,
  MAX_PERF_PCT,
  NO_TURBO,
  policyDirectory,
  splitPolicyPath,
} from './cpufreq-paths.ts';
import { CpufreqPolicy } from './cpufreq-policy.ts';

const MIN_PERF_PCT = `${INTEL_PSTATE_DIRECTORY}/min_perf_pct`;
const SWITCHES: readonly string[] = [GLOBAL_BOOST, NO_TURBO, MAX_PERF_PCT, MIN_PERF_PCT];
const KHZ_PER_MHZ = 1000;

/**
 * What the kernel makes of writes to the cpufreq files of a whole machine: its policies, and the switches that bound all
 * of them. A policy is made from the files that `read` shows when it is first written to, or looked at after that.
 *
 * - `boost` (`store_boost`): with amd-pstate the nominal frequency is the hardware's maximum without it; acpi-cpufreq's range
 *   does not change.
 * - `no_turbo`: the base frequency bounds the range as long as it is set ("Interpretation of Policy Attributes" in
 *   intel_pstate.rst).
 * - `max_perf_pct`, a share of the highest turbo frequency: bounds the range in passive mode, the speed alone in active mode.
 */
export class CpufreqModel {
  readonly #read: (path: string) => string | undefined;
  readonly #policyNames: () => readonly string[];
  readonly #policies = new Map<string, CpufreqPolicy | undefined>();
  /** What was written to them. */
  readonly #switches = new Map<string, string>();

  /**
   * @param read any file below /sys as it is without this model, undefined where there is none
   * @param policyNames `policy0`, …: those of the machine
   */
  constructor(read: (path: string) => string | undefined, policyNames: () => readonly string[]) {
    this.#read = read;
    this.#policyNames = policyNames;
  }

  /** The text of a file that this model decides, now that something was written; undefined for every other. */
  read(path: string): string | undefined {
    const written = this.#switches.get(path);
    if (written !== undefined) return written;
    const place = splitPolicyPath(path);
    if (place === undefined) return undefined;
    if (place.file === 'cpb' || place.file === 'boost') return this.#switches.get(GLOBAL_BOOST);
    return this.#policies.get(place.directory)?.read(place.file);
  }

  writable(path: string): boolean {
    const place = splitPolicyPath(path);
    if (place !== undefined) return this.#policy(place.directory)?.writable(place.file) === true;
    return SWITCHES.includes(path) && this.#read(path) !== undefined;
  }

  /** @returns the error that the kernel answers with, or undefined where it took the write. */
  write(path: string, text: string): Errno | undefined {
    const place = splitPolicyPath(path);
    if (place !== undefined) return this.#policy(place.directory)?.write(place.file, text) ?? this.#missing(place);
    return this.writable(path) ? this.#switch(path, text) : 'EACCES';
  }

  /** The firmware allows the policy no more than this. */
  limitTo(directory: string, khz: number): void {
    this.#policy(directory)?.limit('bios_limit', khz);
  }

  /**
   * The first CPU of a policy comes online. amd-pstate takes it that boost is on then, and says so for the whole machine
   * (`amd_pstate_boost_init`, Linux 6.1).
   */
  policyComes(directory: string): void {
    const policy = this.#policy(directory);
    if (policy?.driver.startsWith('amd-pstate') !== true || this.#read(GLOBAL_BOOST) === undefined) return;
    if (this.#value(GLOBAL_BOOST) === 1) return;
    this.#switches.set(GLOBAL_BOOST, '1');
    this.#boost(directory, policy, 1);
  }

  /** The policy's files have changed otherwise than by a write: it begins anew. */
  forget(directory: string): void {
    this.#policies.delete(directory);
  }

  #missing({ directory }: { directory: string }): Errno | undefined {
    return this.#policies.get(directory) === undefined ? 'EACCES' : undefined;
  }

  #policy(directory: string): CpufreqPolicy | undefined {
    if (this.#policies.has(directory)) return this.#policies.get(directory);
    const policy = CpufreqPolicy.from((file) => this.#read(`${directory}/${file}`));
    this.#policies.set(directory, policy);
    const turboFree = this.#baseKhz(directory);
    if (turboFree !== undefined && this.#value(NO_TURBO) === 1) policy?.assumeLimit('no_turbo', turboFree);
    return policy;
  }

  #switch(path: string, text: string): Errno | undefined {
    const number = path === GLOBAL_BOOST ? /^\s*(-?\d+)/.exec(text)?.[1] : /^\s*(\d+)/.exec(text)?.[1];
    if (number === undefined) return 'EINVAL';
    const value = Number(number);
    // Made while the switch stands as it did: a policy begins with the limits that it finds.
    const policies = this.#allPolicies();
    if (path === GLOBAL_BOOST) {
      if (value !== 0 && value !== 1) return 'EINVAL';
      if (value !== this.#value(path))
        for (const [directory, policy] of policies) this.#boost(directory, policy, value);
      this.#switches.set(path, String(value));
      return undefined;
    }
    const floor = path === MAX_PERF_PCT ? (this.#value(MIN_PERF_PCT) ?? 0) : 0;
    const ceiling = path === NO_TURBO ? 1 : path === MIN_PERF_PCT ? (this.#value(MAX_PERF_PCT) ?? 100) : 100;
    const taken = Math.max(floor, Math.min(ceiling, value));
    this.#switches.set(path, String(taken));
    for (const [directory, policy] of policies) {
      if (path === NO_TURBO) {
        policy.limit('no_turbo', taken === 1 ? (this.#baseKhz(directory) ?? Infinity) : Infinity);
      } else if (path === MAX_PERF_PCT) {
        const khz = taken === 100 ? Infinity : Math.floor((taken / 100) * Number(policy.read('cpuinfo_max_freq')));
        if (policy.driver === 'intel_cpufreq') policy.limit('max_perf_pct', khz);
        else policy.limitSpeed(khz);
      }
    }
    return undefined;
  }

  #boost(directory: string, policy: CpufreqPolicy, on: number): void {
    if (!policy.driver.startsWith('amd-pstate')) return;
    const highestKhz = Number(this.#read(`${directory}/amd_pstate_max_freq`));
    const nominalKhz = Number(this.#read(`${this.#cpuDirectory(directory)}/acpi_cppc/nominal_freq`)) * KHZ_PER_MHZ;
    const khz = on === 1 ? highestKhz : nominalKhz;
    // Where the recording lacks one of them, what becomes of the range is not known.
    if (khz > 0) policy.changeHardwareMaximum(khz);
  }

  #allPolicies(): readonly (readonly [directory: string, policy: CpufreqPolicy])[] {
    return this.#policyNames().flatMap((name) => {
      const directory = policyDirectory(name);
      const policy = this.#policy(directory);
      return policy === undefined ? [] : [[directory, policy] as const];
    });
  }

  #baseKhz(directory: string): number | undefined {
    const khz = Number(this.#read(`${directory}/base_frequency`));
    return khz > 0 ? khz : undefined;
  }

  #cpuDirectory(directory: string): string {
    const cpus = parseCpuList(this.#read(`${directory}/related_cpus`) ?? '') ?? [];
    return `${CPU_DIRECTORY}/cpu${cpus[0]}`;
  }

  #value(path: string): number | undefined {
    const text = this.#switches.get(path) ?? this.#read(path);
    return text === undefined ? undefined : Number.parseInt(text, 10);
  }
}
