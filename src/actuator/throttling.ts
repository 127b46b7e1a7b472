import type { AppliedFrequency } from '../core/actuator.ts';
import type { Clock } from '../core/clock.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import { type CpuId, NS_PER_S, type KiloHertz, kiloHertz } from '../core/units.ts';
import { CPU_DIRECTORY, policyDirectory } from '../sysfs/cpufreq-paths.ts';
import type { PolicyInfo } from './discover-machine.ts';

const COUNTS: readonly string[] = ['core_throttle_count', 'package_throttle_count'];
/** The counters tell when throttling begins, not when it ends: it is taken to last so long after they have risen. */
const LASTS_NS = BigInt(5 * NS_PER_S);
/** A speed that is so much below what was applied is not what was applied. */
const SLOWER_SHARE = 0.05;

/** A file that counts how often a CPU was throttled. */
interface Counter {
  readonly cpu: CpuId;
  readonly file: string;
  readonly path: string;
  count: number;
}

/** What heat does to a policy. */
export interface Throttled {
  /** Its counters have risen since the look before. */
  readonly rose: boolean;
  /** For humans. */
  readonly detail: string;
  /** What its CPUs run at (`scaling_cur_freq`); null where that is not told. */
  readonly khz: KiloHertz | null;
}

/**
 * CPUs that their own thermal control slows down (arch/x86/kernel/cpu/mce/therm_throt.c), which shows in no cpufreq limit.
 * `scaling_cur_freq` alone proves nothing, since an idle CPU shows whatever its driver saw last: it is believed only while
 * the counters say why it is low.
 */
export class Throttling {
  readonly #tree: SysfsTree;
  readonly #clock: Clock;
  /** By policy: its counters, with what they read last. Those that are not there are not looked for again. */
  readonly #counters = new Map<string, readonly Counter[]>();
  readonly #risen = new Map<string, { readonly atNs: bigint; readonly detail: string }>();

  constructor(tree: SysfsTree, clock: Clock) {
    this.#tree = tree;
    this.#clock = clock;
  }

  /** From here on throttling of these CPUs counts. */
  watch(policy: PolicyInfo): void {
    const counters = countersOf(policy).flatMap(({ path, ...counter }): readonly Counter[] => {
      const count = this.#number(path);
      return count === null ? [] : [{ ...counter, path, count }];
    });
    this.#counters.set(policy.id, counters);
  }

  /** @returns null while the policy's CPUs are not throttled, and where no counter tells */
  look(policy: PolicyInfo): Throttled | null {
    const rises = (this.#counters.get(policy.id) ?? []).flatMap((counter) => {
      const before = counter.count;
      counter.count = this.#number(counter.path) ?? before;
      if (counter.count <= before) return [];
      return [`CPU ${counter.cpu} was throttled by heat (${counter.file} +${counter.count - before})`];
    });
    const nowNs = this.#clock.monotonicNs();
    const [detail] = rises;
    if (detail !== undefined) this.#risen.set(policy.id, { atNs: nowNs, detail });
    const last = this.#risen.get(policy.id);
    if (last === undefined || nowNs - last.atNs >= LASTS_NS) return null;
    const khz = this.#number(`${policyDirectory(policy.id)}/scaling_cur_freq`);
    return { rose: detail !== undefined, detail: last.detail, khz: khz === null || khz <= 0 ? null : kiloHertz(khz) };
  }

  #number(path: string): number | null {
    const result = this.#tree.read(path);
    const value = result.ok ? Number.parseInt(result.value, 10) : NaN;
    return Number.isNaN(value) ? null : value;
  }
}

/** What a throttled machine really gives, so that nobody who reckons with it winds up. */
export function throttledApplication<T extends Pick<AppliedFrequency, 'appliedKhz' | 'outcome' | 'detail'>>(
  { id }: PolicyInfo,
  application: T,
  throttled: Throttled | null,
): T {
  const { appliedKhz, outcome } = application;
  const khz = throttled?.khz ?? null;
  if (throttled === null || khz === null || appliedKhz === null || khz >= appliedKhz * (1 - SLOWER_SHARE)) {
    return application;
  }
  const detail = `${id}: ${throttled.detail}: runs at ${khz} instead of ${appliedKhz}`;
  return {
    ...application,
    appliedKhz: khz,
    outcome: outcome === 'refused' || outcome === 'yielded' ? outcome : 'clamped',
    detail: application.detail === undefined ? detail : `${application.detail}; ${detail}`,
  };
}

const countersOf = ({ cpus }: PolicyInfo) =>
  cpus.flatMap((cpu) =>
    COUNTS.map((file) => ({ cpu, file, path: `${CPU_DIRECTORY}/cpu${cpu}/thermal_throttle/${file}` })),
  );
