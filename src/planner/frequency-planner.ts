import type { Level } from '../core/controller.ts';
import type { Machine, OperatingPoint } from '../core/machine.ts';
import type { Plan, PlanLimits, Planner } from '../core/planner.ts';
import { frequencyFor, ladderOf } from './ladder.ts';

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

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
