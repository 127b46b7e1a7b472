import type { Level } from '../core/controller.ts';
import type { Machine, OperatingPoint } from '../core/machine.ts';
import type { Plan, PlanLimits, Planner } from '../core/planner.ts';
import { lastOf } from '../core/last-of.ts';
import type { KiloHertz } from '../core/units.ts';
import { frequencyBelow, frequencyFor, ladderOf } from './ladder.ts';

/** A level that is an operating point's must map back to that point in spite of rounding. */
const EPSILON = 1e-9;

/**
 * Plans by frequency alone: every service may run on every CPU, so the highest level asked for sets all domains. A level is a
 * share of full capacity: Σ over domains of CPUs × frequency ÷ Σ of CPUs × the hardware's maximum.
 *
 * Where the level lies between two steps of the ladder, the first domains take the step above and the rest the one below: as
 * few at the higher one as give the level. So a machine with many domains has fine levels, though its steps are wide, no domain
 * is more than a step from the others, and a small change of the level changes few of them.
 */
export function createFrequencyPlanner(machine: Machine, limits: PlanLimits): Planner {
  const ladders = machine.domains.map((domain) => ladderOf(domain, limits));
  const capacity = sum(ladders, ({ domain }) => domain.cpus.length * domain.maxKhz);

  function pointAt(level: Level): OperatingPoint {
    const frequencyKhz: Record<string, KiloHertz> = {};
    let granted = 0;
    for (const ladder of ladders) {
      const khz = frequencyBelow(ladder, level);
      frequencyKhz[ladder.domain.id] = khz;
      granted += ladder.domain.cpus.length * khz;
    }
    for (const ladder of ladders) {
      if (granted >= level * capacity * (1 - EPSILON)) break;
      const { id, cpus } = ladder.domain;
      const khz = frequencyFor(ladder, level);
      granted += cpus.length * (khz - frequencyKhz[id]!);
      frequencyKhz[id] = khz;
    }
    return { frequencyKhz, cpus: {} };
  }
  const full = pointAt(1);

  function levelAt(point: OperatingPoint): Level {
    if (capacity === 0) return 1;
    // A domain that the point does not name was left as it is, which is full speed.
    const granted = sum(ladders, ({ domain }) => {
      return domain.cpus.length * (point.frequencyKhz[domain.id] ?? full.frequencyKhz[domain.id]!);
    });
    return granted / capacity;
  }

  // Mostly it is the same again: with a hundred domains to work it out anew would be a good part of a tick.
  const planned = lastOf(pointAt);
  const levelOf = lastOf(levelAt);

  return {
    machine,
    full,
    levelOf,
    plan(requests): Plan {
      const highest = requests.length === 0 ? 1 : Math.max(...requests.map(({ level }) => level));
      const point = planned(highest);
      const level = levelOf(point);
      return { point, levels: Object.fromEntries(requests.map(({ service }) => [service, level])) };
    },
  };
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
