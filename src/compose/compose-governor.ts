import { createCpufreqActuator } from '../actuator/cpufreq-actuator.ts';
import type { Clock } from '../core/clock.ts';
import { systemClock } from '../core/clock.ts';
import type { Actuator } from '../core/actuator.ts';
import type { Planner } from '../core/planner.ts';
import type { Sensor } from '../core/sensor.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import { GovernorLoop } from '../loop/governor-loop.ts';
import { predictingSensor } from '../loop/predicting-sensor.ts';
import { createFrequencyPlanner } from '../planner/frequency-planner.ts';
import type { Config } from '../policy/load-config.ts';
import { openSensor } from '../sensor/open-sensor.ts';
import { dryRunTree } from '../sysfs/dry-run-tree.ts';
import { realTree } from '../sysfs/real-tree.ts';

export type ComposeLog = (level: 'debug' | 'info' | 'warn', message: string) => void;

export interface GovernorOptions {
  readonly config: Config;
  readonly dryRun: boolean;
  /** Stands in for /sys. */
  readonly sysfsRoot: string;
  readonly journalPath: string;
  readonly log: ComposeLog;
}

/** A loop over the real sensor, with everything that must be closed after it. */
export interface Governor {
  readonly loop: GovernorLoop;
  readonly sensor: Sensor;
  readonly actuator: Actuator;
  readonly planner: Planner;
  close(): void;
}

/** A share of a window's requests that may be late before the kernel wakes us: twice what the SLO tolerates. */
const LATE_BUDGET_FACTOR = 2;
/** The kernel wakes us when a request waited this share of the SLO before it was even read. */
const WAIT_BUDGET_SHARE = 0.5;

/**
 * Builds the loop of a machine. Dry run differs by what is handed in, a tree whose writes land in memory and a sensor that
 * predicts, and by nothing else.
 *
 * @throws SensorError, ActuatorError
 */
export function composeGovernor(options: GovernorOptions): Governor {
  const { config, dryRun, log } = options;
  const clock: Clock = systemClock;
  const base = realTree(options.sysfsRoot);
  const tree: SysfsTree = dryRun ? dryRunTree(base) : base;
  const actuator = createCpufreqActuator({
    tree,
    journalPath: dryRun ? null : options.journalPath,
    method: config.frequency.method,
    log,
  });
  const planner = createFrequencyPlanner(actuator.machine, config.frequency);
  const measured = openSensor({ targets: config.services.map(targetOf), clock, log });
  const sloByName = new Map(config.services.map((service) => [service.name, service.slo]));
  const sensor = dryRun
    ? predictingSensor(
        measured,
        (target) => loop.levelOf(target),
        (target) => sloByName.get(target)!,
      )
    : measured;
  const loop: GovernorLoop = new GovernorLoop({
    services: config.services.map(({ name, slo, policy }) => ({
      name,
      slo,
      controller: policy.controller,
      intervalMs: policy.intervalMs,
      limits: policy.level,
    })),
    sensor,
    planner,
    actuator,
    clock,
    mode: dryRun ? 'dry-run' : 'govern',
  });
  return {
    loop,
    sensor,
    actuator,
    planner,
    close() {
      sensor.close();
      tree.close();
    },
  };
}

function targetOf(service: Config['services'][number]) {
  const { slo, policy } = service;
  const lateBudget = Math.max(2, Math.ceil(LATE_BUDGET_FACTOR * (1 - slo.quantile) * policy.intervalMs));
  return {
    name: service.name,
    ports: service.ports,
    sloLatencyNs: slo.latencyNs,
    alarm: { lateBudget, waitBudgetNs: slo.latencyNs * WAIT_BUDGET_SHARE },
  };
}
