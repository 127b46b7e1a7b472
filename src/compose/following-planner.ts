import type { Machine } from '../core/machine.ts';
import type { Planner } from '../core/planner.ts';

/** Plans for the machine as it is at the time: a planner knows one machine, and CPUs come and go. */
export function followingPlanner(machineNow: () => Machine, plannerFor: (machine: Machine) => Planner): Planner {
  let planner = plannerFor(machineNow());
  const current = () => {
    const machine = machineNow();
    if (machine !== planner.machine) planner = plannerFor(machine);
    return planner;
  };
  return {
    get machine() {
      return current().machine;
    },
    get full() {
      return current().full;
    },
    plan: (requests, from) => current().plan(requests, from),
    levelOf: (point, service) => current().levelOf(point, service),
  };
}
