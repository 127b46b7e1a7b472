import { join } from 'node:path';
import { packageRoot } from '../../src/cli/package-root.ts';
import { controllers } from '../../src/compose/controllers.ts';
import { createPlanner } from '../../src/compose/create-planner.ts';
import { governedService } from '../../src/compose/governed-service.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Sensor } from '../../src/core/sensor.ts';
import { NS_PER_MS } from '../../src/core/units.ts';
import { GovernorLoop } from '../../src/loop/governor-loop.ts';
import { loadPolicy } from '../../src/policy/load-policy.ts';
import type { ActuatorBench } from '../actuator/actuator-bench.ts';
import { SLO, snapshotOf } from '../loop/support.ts';
import { controlsOf, operatedMachine } from './governed-machines.ts';

const INTERVAL_MS = 100;
/** Where a double can tell no two ns apart any more. */
const START_NS = 2n ** 53n - 7n;

export const serviceOf = (name: string, intervalMs = INTERVAL_MS) =>
  governedService({
    name: 'web',
    slo: SLO,
    policy: { ...loadPolicy(join(packageRoot(), 'policies', `${name}.yaml`), controllers), intervalMs },
  });

/** The loop of a daemon on a machine in memory, whose time and load a test makes. */
export function governedLoop(bench: ActuatorBench, policy: string, intervalMs = INTERVAL_MS) {
  const tree = operatedMachine('acpi-cpufreq-qemu-2c');
  const before = controlsOf(tree);
  const time = { nowNs: START_NS, wallMs: Date.UTC(2026, 2, 28, 23) };
  const clock: Clock = { monotonicNs: () => time.nowNs, wallMs: () => time.wallMs };
  const actuator = bench.actuator(tree, { clock });
  let latencyNs = NS_PER_MS;
  const sensor: Sensor = {
    method: 'simulated',
    unit: 'turn',
    read: () => [
      snapshotOf(100, latencyNs, { atNs: time.nowNs, windowNs: intervalMs * NS_PER_MS, arrivals: 2 ** 32 + 5 }),
    ],
    close: () => undefined,
  };
  const planner = createPlanner(actuator.machine, {
    strategy: 'frequency',
    limits: {},
    services: [{ service: 'web', minCpus: 1, reserved: [] }],
    power: null,
  });
  const loop = new GovernorLoop({
    services: [serviceOf(policy, intervalMs)],
    sensor,
    planner,
    actuator,
    clock,
    mode: 'govern',
  });
  loop.engage();
  const pass = (ms: number) => {
    time.nowNs += BigInt(ms * NS_PER_MS);
    time.wallMs += ms;
  };
  const tick = (ms = intervalMs) => {
    pass(ms);
    return loop.tick(time.nowNs);
  };
  return { loop, tree, before, time, sensor, planner, tick, load: (ns: number) => void (latencyNs = ns) };
}
