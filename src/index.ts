/**
 * The library: tailgov's sensor for other runtimes. `openSensor` attaches probes to the kernel and measures every request
 * of its targets, with no help from them.
 */
export { openSensor, type OpenedSensor, type SensorOptions, type TargetSpec } from './sensor/open-sensor.ts';
export { windows } from './sensor/windows.ts';
export { quantileBoundNs } from './controller/quantile-bound.ts';
export type { TargetPlace } from './core/target-place.ts';
export { Histogram } from './core/histogram.ts';
export { SensorError } from './core/errors.ts';
export type {
  Alarm,
  AlarmKind,
  AlarmSource,
  Health,
  RequestUnit,
  Sensor,
  SensorMethod,
  Snapshot,
} from './core/sensor.ts';
export { gapVariation, slackRatio } from './core/secondary-signals.ts';
export { summarizeSnapshot, type SnapshotSummary, type TimeSummary } from './core/snapshot-summary.ts';
export type { Slo } from './core/slo.ts';
export type { Controller, ControllerInput, ControllerOutput, Level, Observation } from './core/controller.ts';
