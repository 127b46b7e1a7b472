import type { Level } from '../core/controller.ts';
import type { FrequencyDomain, Machine, OperatingPoint } from '../core/machine.ts';
import type { Plan, PlanLimits, Planner } from '../core/planner.ts';
import { type KiloHertz, kiloHertz } from '../core/units.ts';

/** Where any frequency can be asked for, it is rounded up to this: cpufreq keeps kHz, hardware does not. */
const RESOLUTION_KHZ = 1000;
/** A level that is a frequency's share must map back to that frequency in spite of rounding. */
const EPSILON = 1e-9;

/**
 * Plans by frequency alone: every service may run on every CPU, so the highest level asked for sets all domains. A level is a
 * share of full capacity: Σ over domains of CPUs × frequency ÷ Σ of CPUs × the hardware's maximum.
 */
export function createFrequencyPlanner(machine: Machine, limits: PlanLimits): Planner {
  const ladders = machine.domains.map((domain) => ladderOf(domain, limits));
  const capacity = sum(ladders, ({ domain }) => domain.cpus.length * domain.maxKhz);

  const pointAt = (level: Level): OperatingPoint => ({
    frequencyKhz: Object.fromEntries(ladders.map((ladder) => [ladder.domain.id, frequencyFor(ladder, level)])),
    cpus: {},
  });
  const full = pointAt(1);

  const levelOf = (point: OperatingPoint): Level => {
    if (capacity === 0) return 1;
    // A domain that the point does not name was left as it is, which is full speed.
    const granted = sum(ladders, ({ domain }) => {
      return domain.cpus.length * (point.frequencyKhz[domain.id] ?? full.frequencyKhz[domain.id]!);
    });
    return granted / capacity;
  };

  return {
    machine,
    full,
    levelOf,
    plan(requests): Plan {
      const highest = requests.length === 0 ? 1 : Math.max(...requests.map(({ level }) => level));
      const point = pointAt(highest);
      const level = levelOf(point);
      return { point, levels: Object.fromEntries(requests.map(({ service }) => [service, level])) };
    },
  };
}

interface Ladder {
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
function ladderOf(domain: FrequencyDomain, limits: PlanLimits): Ladder {
  const { allowedMinKhz, allowedMaxKhz } = domain;
  const clamp = (khz: number) => kiloHertz(Math.min(allowedMaxKhz, Math.max(allowedMinKhz, khz)));
  const maxKhz = clamp(limits.maxKhz ?? allowedMaxKhz);
  const minKhz = kiloHertz(Math.min(maxKhz, clamp(limits.minKhz ?? allowedMinKhz)));
  const within = domain.stepsKhz?.filter((khz) => khz >= minKhz && khz <= maxKhz) ?? [];
  return { domain, minKhz, maxKhz, stepsKhz: within.length > 0 ? within : null };
}

/** The lowest allowed frequency that gives at least the level. */
function frequencyFor({ domain, minKhz, maxKhz, stepsKhz }: Ladder, level: Level): KiloHertz {
  const wantedKhz = level * domain.maxKhz * (1 - EPSILON);
  if (stepsKhz !== null) return stepsKhz.find((khz) => khz >= wantedKhz) ?? stepsKhz.at(-1)!;
  if (wantedKhz <= minKhz) return minKhz;
  return kiloHertz(Math.min(maxKhz, Math.ceil(wantedKhz / RESOLUTION_KHZ) * RESOLUTION_KHZ));
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
