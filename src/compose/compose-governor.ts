import { isDeepStrictEqual } from 'node:util';
import { createCpufreqActuator } from '../actuator/cpufreq-actuator.ts';
import { kernelOwnersTelling, rememberedOwners } from '../actuator/cpu-owners.ts';
import type { Clock } from '../core/clock.ts';
import { systemClock } from '../core/clock.ts';
import type { Actuator } from '../core/actuator.ts';
import type { Planner } from '../core/planner.ts';
import type { Sensor, Snapshot } from '../core/sensor.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import type { Slo } from '../core/slo.ts';
import { GovernorLoop } from '../loop/governor-loop.ts';
import type { GovernedService } from '../loop/law.ts';
import { predictingSensor } from '../loop/predicting-sensor.ts';
import type { Config, ServiceConfig } from '../policy/load-config.ts';
import { openSensor, type TargetSpec } from '../sensor/open-sensor.ts';
import { dryRunTree } from '../sysfs/dry-run-tree.ts';
import { realTree } from '../sysfs/real-tree.ts';
import { choosePowerModel } from '../telemetry/metrics-power.ts';
import { alarmBudget } from './alarm-budget.ts';
import { createPlanner } from './create-planner.ts';
import { DryRunRecorder, type RecordRequest } from './dry-run-recorder.ts';
import { followingPlanner } from './following-planner.ts';
import { governedService } from './governed-service.ts';
import { locateServices } from './locate-services.ts';

export type ComposeLog = (level: 'debug' | 'info' | 'warn', message: string) => void;

export interface GovernorOptions {
  readonly config: Config;
  readonly dryRun: boolean;
  /** Stands in for /sys. */
  readonly sysfsRoot: string;
  readonly journalPath: string;
  readonly log: ComposeLog;
  /** Told while something goes on that may take seconds, such as several calls of systemd. */
  readonly alive?: () => void;
  /** In dry run: a file for every request that is measured and for what is predicted. */
  readonly record?: RecordRequest;
}

/** A loop over the real sensor, with everything that must be closed after it. */
export interface Governor {
  readonly loop: GovernorLoop;
  /** Another one after a change that needed it. */
  readonly sensor: Sensor;
  readonly actuator: Actuator;
  readonly planner: Planner;
  readonly recorder: DryRunRecorder | null;
  /** Whether a change to this config takes another sensor: opening one takes about as long as a tick's interval. */
  needsAnotherSensor(config: Config): boolean;
  /**
   * Goes over to another config, between two ticks. Services that stay the same do not notice.
   *
   * @throws SensorError, and nothing has changed
   */
  change(config: Config): void;
  close(): void;
}

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
  let current = config;
  const owners = kernelOwnersTelling(options.alive ?? (() => undefined));
  const actuator = createCpufreqActuator({
    tree,
    journalPath: dryRun ? null : options.journalPath,
    method: config.frequency.method,
    boost: config.frequency.boost,
    foreignWriter: config.frequency.foreignWriter,
    clock,
    log,
    leaveAlone: () => reservedByAll(current),
    coresAlone: config.planner.strategy !== 'frequency',
    cores: { ...config.affinity, locate: () => locateServices(current.services, measured.processes()) },
    owners: dryRun ? rememberedOwners(tree, owners) : owners,
  });
  const plannerFor = ({ frequency: limits, planner: { strategy }, services: all, telemetry }: Config) => {
    const power = strategy === 'pack' ? choosePowerModel(telemetry.powerModel) : null;
    const coreLimits = all.map(({ name, cores }) => ({ service: name, minCpus: cores.min, reserved: cores.reserved }));
    return followingPlanner(
      () => actuator.machine,
      (machine) => createPlanner(machine, { strategy, limits, services: coreLimits, power }),
    );
  };
  const openOn = (targets: readonly TargetSpec[], record: boolean) => openSensor({ targets, clock, log, record });
  /** Dry run puts its prediction between the sensor and the loop. */
  const shown = (opened: Sensor): Sensor =>
    dryRun
      ? predictingSensor(
          tapped(opened, (snapshots) => recorder?.measured(snapshots)),
          (target) => loop.levelOf(target),
          (target) => sloOf(current, target),
        )
      : opened;

  let planner = plannerFor(config);
  const { record } = options;
  let measured = openOn(config.services.map(targetOf), record !== undefined);
  const recorder =
    record === undefined
      ? null
      : new DryRunRecorder({ ...record, sensor: measured, services: config.services, tree: base, clock });
  const endRecording = () => recorder?.close().forEach((line) => log('info', line));
  let sensor = shown(measured);
  let services = config.services.map(governedService);
  const loop: GovernorLoop = new GovernorLoop({
    services,
    sensor,
    planner,
    actuator,
    clock,
    mode: dryRun ? 'dry-run' : 'govern',
  });
  return {
    loop,
    actuator,
    recorder,
    get sensor() {
      return sensor;
    },
    get planner() {
      return planner;
    },
    needsAnotherSensor: (next) => !sameServers(current, next),
    change(next) {
      const targets = next.services.map(targetOf);
      const nextPlanner = plannerFor(next);
      const nextServices = next.services.map((service) => unchanged(service) ?? governedService(service));
      const before = measured;
      // The old one measures on until the new one does; both count the same sockets, each for itself.
      if (!measured.retarget(targets)) {
        measured = openOn(targets, false);
        endRecording();
      }
      if (measured !== before) sensor = shown(measured);
      current = next;
      planner = nextPlanner;
      services = nextServices;
      loop.change({ services, sensor, planner });
      if (measured !== before) before.close();
    },
    close() {
      endRecording();
      sensor.close();
      tree.close();
    },
  };

  /** The service as the loop has it, where nothing of it is different: its law and its state go on. */
  function unchanged({ name, slo, policy }: ServiceConfig): GovernedService | undefined {
    const before = current.services.find((service) => service.name === name);
    if (before?.policy !== policy || !isDeepStrictEqual(before.slo, slo)) return undefined;
    return services.find((service) => service.name === name);
  }
}

/** The sensor, with somebody who looks on. */
const tapped = (sensor: Sensor, onRead: (snapshots: readonly Snapshot[]) => void): Sensor => ({
  method: sensor.method,
  unit: sensor.unit,
  ...(sensor.alarms === undefined ? {} : { alarms: sensor.alarms }),
  read(urgent, rearm) {
    const snapshots = sensor.read(urgent, rearm);
    onRead(snapshots);
    return snapshots;
  },
  close: () => sensor.close(),
});

/** The CPUs that no service may be given, where the planner gives CPUs. */
function reservedByAll({ planner: { strategy }, services }: Config): readonly number[] {
  if (strategy === 'frequency') return [];
  const [first, ...others] = services.map(({ cores }) => cores.reserved);
  return (first ?? []).filter((cpu) => others.every((reserved) => reserved.includes(cpu)));
}

/** The same names with the same protocol and ports, in any order. */
function sameServers(a: Config, b: Config): boolean {
  const serversOf = ({ services }: Config) =>
    new Map(
      services.map(({ name, target, protocol }) => [name, { ...target, ports: new Set(target.ports), protocol }]),
    );
  return isDeepStrictEqual(serversOf(a), serversOf(b));
}

function sloOf({ services }: Config, name: string): Slo {
  return services.find((service) => service.name === name)!.slo;
}

function targetOf(service: Config['services'][number]) {
  const { slo, policy } = service;
  return {
    name: service.name,
    ...service.target,
    protocol: service.protocol,
    sloLatencyNs: slo.latencyNs,
    alarm: alarmBudget(slo, policy.intervalMs),
  };
}
