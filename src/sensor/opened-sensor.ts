import type { Sensor } from '../core/sensor.ts';
import type { TurnStream } from './turn-stream.ts';
import type { TargetSpec } from './target-spec.ts';

/** A sensor whose targets' objectives can be changed while it measures. */
export interface OpenedSensor extends Sensor {
  /**
   * Other objectives and alarms for the same targets, from now on; nothing that was measured is lost.
   * @returns false, with nothing changed, where names or places differ: those need another sensor
   */
  retarget(targets: readonly TargetSpec[]): boolean;
  /** What the targets wait for: ports that nothing listens on, units that do not run, …, in words. */
  waiting(): readonly string[];
  /** By target: the processes that were seen to read from its connections. Some may have ended since. */
  processes(): ReadonlyMap<string, readonly number[]>;
  /** The turns one by one, where that was asked for. */
  readonly turns: TurnStream | null;
}
