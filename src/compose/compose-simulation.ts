import type { Slo } from '../core/slo.ts';
import type { TickReport } from '../core/tick-report.ts';
import { NS_PER_MS } from '../core/units.ts';
import { GovernorLoop } from '../loop/governor-loop.ts';
import type { PlanStrategy } from '../core/planner.ts';
import type { CompletionObserver } from '../plant/plant.ts';
import { idleStatesOf, type ServerModel } from '../plant/server-model.ts';
import type { ServiceModel } from '../plant/service-model.ts';
import { Simulation } from '../plant/simulation.ts';
import type { Policy } from '../policy/load-policy.ts';
import { alarmBudget } from './alarm-budget.ts';
import { createPlanner } from './create-planner.ts';
import { governedService } from './governed-service.ts';

export interface SimulatedGovernorOptions {
  readonly server: ServerModel;
  readonly service: ServiceModel;
  readonly policy: Policy;
  readonly slo: Slo;
  /** More services on the same cores, each governed by the same policy for an objective of its own. */
  readonly beside?: readonly SimulatedNeighbour[];
  /** Of the requests: equal seeds bring equal ones, whatever the policy does. */
  readonly seed: number;
  /** What levels become; `frequency` where not given. */
  readonly strategy?: PlanStrategy;
  /** Sees every request leave. */
  readonly onCompletion?: CompletionObserver;
}

export interface SimulatedNeighbour {
  readonly service: ServiceModel;
  readonly slo: Slo;
}

/** The loop of a real machine on a simulated one, whose time passes only when it is told to. */
export interface SimulatedGovernor {
  readonly loop: GovernorLoop;
  readonly simulation: Simulation;
  /** Lets the server run until the tick that is due, or until an alarm or what a law asks for if that is before, and ticks. */
  readonly tickBy: (dueNs: number) => TickReport;
}

/** From an alarm to the new frequency: an assumption, bench/fast-path.ts measures it on a machine. */
const ANSWER_NS = 0.5 * NS_PER_MS;

/** @throws RangeError when the models contradict themselves or the machine */
export function composeSimulation(options: SimulatedGovernorOptions): SimulatedGovernor {
  const { server, policy, slo, seed, strategy = 'frequency', onCompletion } = options;
  const governed = [options, ...(options.beside ?? [])];
  const simulation = new Simulation({
    server,
    services: governed.map((each) => ({ ...each.service, sloLatencyNs: each.slo.latencyNs })),
    seed,
    alarms: alarmBudget(slo, policy.intervalMs),
    ...(onCompletion === undefined ? {} : { onCompletion }),
  });
  const { sensor, actuator, clock } = simulation;
  const loop = new GovernorLoop({
    services: governed.map((each) => governedService({ name: each.service.name, slo: each.slo, policy })),
    sensor,
    planner: createPlanner(server.machine, {
      strategy,
      limits: {},
      services: governed.map(({ service: { name } }) => ({ service: name, minCpus: 1, reserved: [] })),
      // A core that nothing is given to sleeps as deeply as it can.
      power: { ...server.power, parkedCoreWatts: idleStatesOf(server).at(-1)!.watts },
    }),
    actuator,
    clock,
    mode: 'simulate',
  });
  return { loop, simulation, tickBy };

  function tickBy(dueNs: number): TickReport {
    const untilNs = Math.min(dueNs, Math.max(simulation.nowNs, Number(loop.againNs ?? Infinity)));
    const alarms = simulation.advanceToAlarm(untilNs);
    simulation.advanceTo(alarms.length === 0 ? untilNs : Math.min(dueNs, simulation.nowNs + ANSWER_NS));
    const isDue = simulation.nowNs >= dueNs;
    // Nothing is late here but the answer to an alarm.
    return loop.tick(isDue ? BigInt(Math.floor(dueNs)) : clock.monotonicNs(), alarms, !isDue);
  }
}
