import type { Slo } from '../core/slo.ts';
import { GovernorLoop } from '../loop/governor-loop.ts';
import { createFrequencyPlanner } from '../planner/frequency-planner.ts';
import type { ServerModel } from '../plant/server-model.ts';
import type { ServiceModel } from '../plant/service-model.ts';
import { Simulation } from '../plant/simulation.ts';
import type { Policy } from '../policy/load-policy.ts';
import { governedService } from './governed-service.ts';

export interface SimulatedGovernorOptions {
  readonly server: ServerModel;
  readonly service: ServiceModel;
  readonly policy: Policy;
  readonly slo: Slo;
  /** Of the requests: equal seeds bring equal ones, whatever the policy does. */
  readonly seed: number;
}

/** The loop of a real machine on a simulated one, whose time passes only when it is told to. */
export interface SimulatedGovernor {
  readonly loop: GovernorLoop;
  readonly simulation: Simulation;
}

/** @throws RangeError when the models contradict themselves or the machine */
export function composeSimulation({ server, service, policy, slo, seed }: SimulatedGovernorOptions): SimulatedGovernor {
  const simulation = new Simulation({ server, services: [{ ...service, sloLatencyNs: slo.latencyNs }], seed });
  const { sensor, actuator, clock } = simulation;
  const loop = new GovernorLoop({
    services: [governedService({ name: service.name, slo, policy })],
    sensor,
    planner: createFrequencyPlanner(server.machine, {}),
    actuator,
    clock,
    mode: 'simulate',
  });
  return { loop, simulation };
}
