import type { Level } from '../core/controller.ts';
import type { FrequencyDomain } from '../core/machine.ts';
import type { PlanLimits } from '../core/planner.ts';
import { type KiloHertz, kiloHertz } from '../core/units.ts';

/** Where any frequency can be asked for, it is rounded up to this: cpufreq keeps kHz, hardware does not. */
const RESOLUTION_KHZ = 1000;
/** A level that is a frequency's share must map back to that frequency in spite of rounding. */
const EPSILON = 1e-9;

/** The frequencies that may be asked of a domain. */
export interface Ladder {
  readonly domain: FrequencyDomain;
  /** What operator and config both allow. */
  readonly minKhz: KiloHertz;
  readonly maxKhz: KiloHertz;
  /** The allowed steps, ascending; null where any frequency between can be asked for. */
  readonly stepsKhz: readonly KiloHertz[] | null;
}

/**
 * The operator's range wins over the config's where they do not meet: we never leave it. Where no step lies in the
 * range, the range's end is asked for and the kernel decides.
 */
export function ladderOf(domain: FrequencyDomain, limits: PlanLimits): Ladder {
  const { allowedMinKhz, allowedMaxKhz } = domain;
  const clamp = (khz: number) => kiloHertz(Math.min(allowedMaxKhz, Math.max(allowedMinKhz, khz)));
  const maxKhz = clamp(limits.maxKhz ?? allowedMaxKhz);
  const minKhz = kiloHertz(Math.min(maxKhz, clamp(limits.minKhz ?? allowedMinKhz)));
  const within = domain.stepsKhz?.filter((khz) => khz >= minKhz && khz <= maxKhz) ?? [];
  return { domain, minKhz, maxKhz, stepsKhz: within.length > 0 ? within : null };
}

/** The lowest allowed frequency that gives at least this share of the domain's maximum. */
export function frequencyFor({ domain, minKhz, maxKhz, stepsKhz }: Ladder, share: Level): KiloHertz {
  const wantedKhz = share * domain.maxKhz * (1 - EPSILON);
  if (stepsKhz !== null) return stepsKhz.find((khz) => khz >= wantedKhz) ?? stepsKhz.at(-1)!;
  if (wantedKhz <= minKhz) return minKhz;
  return kiloHertz(Math.min(maxKhz, Math.ceil(wantedKhz / RESOLUTION_KHZ) * RESOLUTION_KHZ));
}

/** The highest allowed frequency that gives no more than this share of the domain's maximum; the lowest allowed where none is. */
export function frequencyBelow(ladder: Ladder, share: Level): KiloHertz {
  const { domain, minKhz, stepsKhz } = ladder;
  if (stepsKhz === null) return frequencyFor(ladder, share);
  return stepsKhz.findLast((khz) => khz <= share * domain.maxKhz * (1 + EPSILON)) ?? stepsKhz[0] ?? minKhz;
}

/** Rungs where the range is continuous. */
const RUNGS = 16;

/** The shares of the domain's maximum at which it can run, ascending; of a continuous range a few. */
export function rungsOf({ domain, minKhz, maxKhz, stepsKhz }: Ladder): readonly number[] {
  const continuous = () =>
    Array.from({ length: RUNGS }, (_, rung) => minKhz + ((maxKhz - minKhz) * rung) / (RUNGS - 1));
  return (stepsKhz ?? continuous()).map((khz) => khz / domain.maxKhz);
}
