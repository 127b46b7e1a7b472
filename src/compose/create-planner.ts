import type { Machine } from '../core/machine.ts';
import type { CoreLimits, PlanLimits, Planner, PlanStrategy } from '../core/planner.ts';
import type { PowerModel } from '../core/power-model.ts';
import { createCorePlanner } from '../planner/core-planner.ts';
import { createFrequencyPlanner } from '../planner/frequency-planner.ts';

export interface PlannerOptions {
  readonly strategy: PlanStrategy;
  readonly limits: PlanLimits;
  readonly services: readonly CoreLimits[];
  /** null where none is known for the machine. */
  readonly power: PowerModel | null;
}

/** The planner of a strategy. */
export function createPlanner(machine: Machine, { strategy, limits, services, power }: PlannerOptions): Planner {
  if (strategy === 'frequency') return createFrequencyPlanner(machine, limits);
  return createCorePlanner(machine, { strategy, limits, services, power });
}
