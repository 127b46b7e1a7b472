import type { Errno } from '../core/sysfs-tree.ts';
import { isSelfGoverned } from './cpufreq-paths.ts';

/** In the order in which simultaneous writes make sense: who decides, the range, the speed inside it. */
export const WRITABLE_POLICY_FILES: readonly string[] = [
  'scaling_governor',
  'energy_performance_preference',
  'scaling_max_freq',
  'scaling_min_freq',
  'scaling_setspeed',
];
const CURRENT_FREQUENCY_FILES: readonly string[] = ['scaling_cur_freq', 'cpuinfo_cur_freq'];

const LARGEST_REQUEST_KHZ = 2 ** 31 - 1;
const LARGEST_RAW_PREFERENCE = 255;

/** `energy_perf_strings` of amd-pstate.c: the file shows the first but one alone while the governor is `performance`. */
const AMD_PREFERENCES = ['default', 'performance', 'balance_performance', 'balance_power', 'power'];

/**
 * What the kernel makes of writes to one cpufreq policy: the semantics of drivers/cpufreq/cpufreq.c and freq_table.c
 * (Linux 6.1), checked against acpi-cpufreq and amd-pstate in a guest; what it says of other drivers follows
 * drivers/cpufreq/{intel_pstate,amd-pstate}.c and Documentation/admin-guide/pm/{cpufreq,intel_pstate,amd-pstate}.rst.
 *
 * - `scaling_min_freq` and `scaling_max_freq` keep what was asked, and show what came of it: a minimum above the maximum
 *   reads as the maximum, and comes back when the maximum rises (`cpufreq_set_policy`).
 * - A minimum rounds up and a maximum down to the table's frequencies; where none lies between them, the next higher one
 *   is both (`cpufreq_frequency_table_verify`).
 * - Limits of others (the firmware's `bios_limit`, `no_turbo`, `max_perf_pct`) are more maxima, which no writer of these files
 *   can lift.
 *
 * The load is not modelled: under a governor that follows it the speed stays where it is, as far as the range allows.
 */
export class CpufreqPolicy {
  readonly driver: string;
  readonly #minKhz: number;
  /** `cpuinfo_max_freq`, which a switch of boost can change. */
  #maxKhz: number;
  /** Ascending; null where the driver takes any frequency of the range. */
  readonly #stepsKhz: readonly number[] | null;
  readonly #governors: readonly string[];
  readonly #selfGoverned: boolean;
  readonly #preferences: readonly string[];
  /** The files that show the speed: their recorded texts, which may differ, until something is written. */
  readonly #currentFiles: Map<string, string>;
  /** By who set them. */
  readonly #limitsKhz = new Map<string, number>();

  #minRequestKhz: number;
  #maxRequestKhz: number;
  #governor: string;
  /** null where the driver has no such file. */
  #preference: string | null;
  #preferenceBefore: string | null = null;
  #setspeedKhz = 0;
  /** Keeps the hardware slower without showing in the range. */
  #speedLimitKhz = Infinity;

  #effectiveMinKhz: number;
  #effectiveMaxKhz: number;
  #currentKhz: number;

  /**
   * @param read a file of the policy's directory, undefined where there is none
   * @returns undefined where the directory lacks what every cpufreq driver has
   */
  static from(read: (file: string) => string | undefined): CpufreqPolicy | undefined {
    const required = ['cpuinfo_min_freq', 'cpuinfo_max_freq', 'scaling_min_freq', 'scaling_max_freq'];
    const numbers = required.map((file) => parseKhz(read(file) ?? ''));
    return numbers.includes(undefined) || read('scaling_governor') === undefined ? undefined : new CpufreqPolicy(read);
  }

  private constructor(read: (file: string) => string | undefined) {
    const text = (file: string) => read(file) ?? '';
    const khz = (file: string) => parseKhz(text(file)) ?? 0;
    const steps = words(text('scaling_available_frequencies')).map(Number);
    this.driver = text('scaling_driver').trim();
    this.#minKhz = khz('cpuinfo_min_freq');
    this.#maxKhz = khz('cpuinfo_max_freq');
    this.#stepsKhz = steps.length === 0 ? null : steps.sort((a, b) => a - b);
    this.#governors = words(text('scaling_available_governors'));
    this.#selfGoverned = isSelfGoverned(this.driver);
    const hidden = this.driver === 'amd-pstate-epp' && text('scaling_governor').trim() === 'performance';
    this.#preferences = hidden ? AMD_PREFERENCES : words(text('energy_performance_available_preferences'));
    const recorded = CURRENT_FREQUENCY_FILES.map((file) => [file, read(file)] as const);
    this.#currentFiles = new Map(recorded.filter((entry): entry is [string, string] => entry[1] !== undefined));

    this.#governor = text('scaling_governor').trim();
    this.#preference = read('energy_performance_preference')?.trim() ?? null;
    this.#effectiveMinKhz = khz('scaling_min_freq');
    this.#effectiveMaxKhz = khz('scaling_max_freq');
    this.#currentKhz = parseKhz(text('scaling_cur_freq')) ?? this.#effectiveMaxKhz;
    this.#setspeedKhz = parseKhz(text('scaling_setspeed')) ?? this.#currentKhz;
    this.#minRequestKhz = this.#effectiveMinKhz;
    this.#maxRequestKhz = this.#effectiveMaxKhz;
    const firmwareLimitKhz = parseKhz(text('bios_limit'));
    if (firmwareLimitKhz !== undefined) this.#standLimit('bios_limit', firmwareLimitKhz);
  }

  /** True for files whose text this model, not a recording, decides. */
  governs(file: string): boolean {
    if (file === 'cpuinfo_max_freq') return true;
    if (file === 'energy_performance_available_preferences') return this.#hidesPreferences;
    return this.writable(file) || this.#currentFiles.has(file);
  }

  writable(file: string): boolean {
    if (file === 'energy_performance_preference') return this.#preference !== null;
    return WRITABLE_POLICY_FILES.includes(file);
  }

  /** The text that a governed file shows. */
  read(file: string): string | undefined {
    switch (file) {
      case 'scaling_governor':
        return this.#governor;
      case 'cpuinfo_max_freq':
        return String(this.#maxKhz);
      case 'scaling_min_freq':
        return String(this.#effectiveMinKhz);
      case 'scaling_max_freq':
        return String(this.#effectiveMaxKhz);
      case 'scaling_setspeed':
        return this.#governor === 'userspace' ? String(this.#currentKhz) : '<unsupported>';
      case 'energy_performance_preference':
        return this.#preference ?? undefined;
      case 'energy_performance_available_preferences':
        return this.#governor === 'performance' ? 'performance' : `${this.#preferences.join(' ')} `;
      default:
        return this.#currentFiles.get(file);
    }
  }

  /** @returns the error that the kernel answers with, or undefined where it took the write. */
  write(file: string, text: string): Errno | undefined {
    if (!this.writable(file)) return 'EACCES';
    const before = `${this.#minRequestKhz} ${this.#maxRequestKhz}`;
    const answer = this.#take(file, text);
    // A request that is what it was notifies nobody (freq_qos_update_request), so that nothing is looked at anew.
    const repeated = isRangeFile(file) && before === `${this.#minRequestKhz} ${this.#maxRequestKhz}`;
    if (answer === undefined && !repeated) this.#settle();
    return answer;
  }

  /** Somebody else allows no more than this; the hardware's maximum, or more, is no limit. */
  limit(source: string, khz: number): void {
    if (khz < this.#maxKhz ? this.#limitsKhz.get(source) === khz : !this.#limitsKhz.has(source)) return;
    if (khz < this.#maxKhz) this.#limitsKhz.set(source, khz);
    else this.#limitsKhz.delete(source);
    this.#settle();
  }

  /** A limit that was there before the model was made. */
  assumeLimit(source: string, khz: number): void {
    this.#standLimit(source, khz);
  }

  /** As `limit`, for one that the driver keeps to itself: active intel_pstate's `max_perf_pct`. */
  limitSpeed(khz: number): void {
    this.#speedLimitKhz = khz;
    this.#settle();
  }

  /**
   * A switch of boost gives the hardware another maximum. amd-pstate (Linux 6.1) shows it as `scaling_max_freq`, too, while
   * the request stays in force unseen, until another value is asked for.
   */
  changeHardwareMaximum(khz: number): void {
    this.#maxKhz = khz;
    this.#settle();
    this.#effectiveMaxKhz = khz;
  }

  /** amd-pstate: `show_energy_performance_available_preferences`. */
  get #hidesPreferences(): boolean {
    return this.#preference !== null && this.driver === 'amd-pstate-epp';
  }

  #take(file: string, text: string): Errno | undefined {
    const khz = parseKhz(text);
    switch (file) {
      case 'scaling_governor':
        return this.#takeGovernor(words(text)[0] ?? '');
      case 'energy_performance_preference':
        return this.#takePreference(words(text)[0] ?? '');
      case 'scaling_setspeed':
        if (this.#governor !== 'userspace' || khz === undefined) return 'EINVAL';
        this.#setspeedKhz = khz;
        return undefined;
      case 'scaling_min_freq':
        if (khz === undefined) return 'EINVAL';
        this.#minRequestKhz = khz;
        return undefined;
      default:
        if (khz === undefined) return 'EINVAL';
        this.#maxRequestKhz = khz;
        return undefined;
    }
  }

  #takeGovernor(asked: string): Errno | undefined {
    const governor = this.#governors.find((name) => name === asked.toLowerCase());
    if (governor === undefined) return 'EINVAL';
    if (governor === this.#governor) return undefined;
    if (governor === 'userspace') this.#setspeedKhz = this.#currentKhz;
    if (this.#selfGoverned && this.#preference !== null) this.#switchPreference(governor);
    this.#governor = governor;
    return undefined;
  }

  /**
   * Under `performance` both drivers show that preference. Afterwards intel_pstate brings the operator's back
   * (`intel_pstate_hwp_set`), amd-pstate of some kernels goes on with `performance` (`amd_pstate_epp_update_limit`).
   */
  #switchPreference(governor: string): void {
    if (governor === 'performance') {
      this.#preferenceBefore = this.#preference;
      this.#preference = 'performance';
    } else if (this.driver !== 'amd-pstate-epp') {
      this.#preference = this.#preferenceBefore ?? this.#preference;
    }
  }

  /** Names; where intel_pstate has HWP, also a number (`store_energy_performance_preference`). */
  #takePreference(asked: string): Errno | undefined {
    const raw = /^\d+$/.test(asked) && Number(asked) <= LARGEST_RAW_PREFERENCE && this.driver.startsWith('intel_');
    if (!raw && !this.#preferences.includes(asked)) return 'EINVAL';
    // A preference that the driver's own `performance` would override is refused by both drivers.
    const strongest = asked === 'performance' || asked === '0';
    if (this.#selfGoverned && this.#governor === 'performance' && !strongest) return 'EBUSY';
    this.#preference = asked === '0' ? 'performance' : asked;
    return undefined;
  }

  /** What the operator asked for is hidden behind a limit that stands; that they asked for nothing is likeliest. */
  #standLimit(source: string, khz: number): void {
    if (khz >= this.#maxKhz) return;
    this.#limitsKhz.set(source, khz);
    if (this.#effectiveMaxKhz >= this.#stepAtOrBelow(khz)) this.#maxRequestKhz = this.#maxKhz;
  }

  #settle(): void {
    const steps = this.#stepsKhz;
    let max = clamp(Math.min(this.#maxRequestKhz, ...this.#limitsKhz.values()), this.#minKhz, this.#maxKhz);
    const min = clamp(this.#minRequestKhz, this.#minKhz, max);
    if (steps !== null && !steps.some((step) => step >= min && step <= max)) {
      max = steps.find((step) => step > max) ?? max;
    }
    this.#effectiveMaxKhz = this.#stepAtOrBelow(max);
    this.#effectiveMinKhz = Math.min(this.#stepAtOrAbove(min), this.#effectiveMaxKhz);
    this.#currentKhz = Math.min(this.#speed(), this.#speedLimitKhz);
    for (const file of this.#currentFiles.keys()) this.#currentFiles.set(file, String(this.#currentKhz));
  }

  #speed(): number {
    const inRange = (khz: number) => clamp(khz, this.#effectiveMinKhz, this.#effectiveMaxKhz);
    if (this.#governor === 'performance') return this.#effectiveMaxKhz;
    // The driver's own `powersave` follows the load, unlike the governor of that name.
    if (this.#governor === 'powersave' && !this.#selfGoverned) return this.#effectiveMinKhz;
    if (this.#governor === 'userspace') return this.#stepAtOrAbove(inRange(this.#setspeedKhz));
    return inRange(this.#currentKhz);
  }

  #stepAtOrAbove(khz: number): number {
    return this.#stepsKhz?.find((step) => step >= khz) ?? this.#stepsKhz?.at(-1) ?? khz;
  }

  #stepAtOrBelow(khz: number): number {
    return this.#stepsKhz?.findLast((step) => step <= khz) ?? this.#stepsKhz?.[0] ?? khz;
  }
}

const isRangeFile = (file: string) => file === 'scaling_min_freq' || file === 'scaling_max_freq';

const clamp = (value: number, low: number, high: number) => Math.max(low, Math.min(high, value));

const words = (text: string) => text.split(/\s+/).filter((word) => word !== '');

/** The first decimal number, as scanf's %u takes it. The kernel holds it as a signed 32-bit number. */
function parseKhz(text: string): number | undefined {
  const digits = /^\s*(\d+)/.exec(text)?.[1];
  return digits !== undefined && Number(digits) <= LARGEST_REQUEST_KHZ ? Number(digits) : undefined;
}
