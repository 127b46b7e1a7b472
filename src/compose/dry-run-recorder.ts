import { basename } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { Level } from '../core/controller.ts';
import { Histogram } from '../core/histogram.ts';
import type { Snapshot } from '../core/sensor.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import { formatNs, formatQuantile } from '../core/units.ts';
import type { ServiceConfig } from '../policy/load-config.ts';
import type { OpenedSensor } from '../sensor/opened-sensor.ts';
import { RecordingFile } from '../sensor/recording-file.ts';
import { TurnRecorder } from '../sensor/turn-recorder.ts';
import { currentFrequencyKhz } from '../sysfs/current-frequency.ts';

export interface RecordRequest {
  readonly file: string;
  readonly limitBytes: number;
}

export interface DryRunRecorderOptions extends RecordRequest {
  readonly sensor: OpenedSensor;
  readonly service: ServiceConfig;
  /** The real machine's. */
  readonly tree: SysfsTree;
  readonly clock: Clock;
}

/** Records what a dry run measures, and sums up what it predicts: both in one file, to be compared by a simulation. */
export class DryRunRecorder {
  /** The name of the service that is recorded. */
  readonly service: string;
  readonly #service: ServiceConfig;
  readonly #recorder: TurnRecorder;
  readonly #latency = new Histogram();
  #overSlo = 0;
  #levelNs = 0;
  #lengthNs = 0;
  #closed = false;

  /** @throws UsageError where the file cannot be created */
  constructor({ file, limitBytes, sensor, service, tree, clock }: DryRunRecorderOptions) {
    const { quantile, latencyNs } = service.slo;
    this.service = service.name;
    this.#service = service;
    this.#recorder = new TurnRecorder({
      file: new RecordingFile(file, limitBytes),
      sensor,
      target: service.name,
      slo: { quantile, latencyNs },
      clock,
      frequencyKhz: () => currentFrequencyKhz(tree),
    });
  }

  /** What was measured, before any prediction. */
  measured(snapshot: Snapshot): void {
    if (!this.#closed) this.#recorder.window(snapshot);
  }

  /** @param level at which the window was predicted */
  predicted(snapshot: Snapshot, level: Level): void {
    this.#latency.add(snapshot.latency);
    this.#overSlo += snapshot.overSlo;
    this.#levelNs += level * snapshot.windowNs;
    this.#lengthNs += snapshot.windowNs;
  }

  /** Once; later calls do nothing. @returns what became of it, a line each */
  close(): readonly string[] {
    if (this.#closed) return [];
    this.#closed = true;
    const { slo, policy } = this.#service;
    const requests = this.#latency.count;
    const predicted = {
      policy: policy.file,
      requests,
      overSlo: this.#overSlo,
      p50Ns: Math.round(this.#latency.quantileNs(0.5)),
      quantileNs: Math.round(this.#latency.quantileNs(slo.quantile)),
      meanLevel: this.#lengthNs === 0 ? 1 : this.#levelNs / this.#lengthNs,
    };
    const { text } = this.#recorder.close(predicted);
    const late = requests === 0 ? 0 : (this.#overSlo / requests) * 100;
    return [
      text,
      `predicted of ${basename(policy.file)} over ${requests} requests: ${formatQuantile(slo.quantile)} ${formatNs(predicted.quantileNs)}, ${late.toFixed(2)} % over ${formatNs(slo.latencyNs)}, mean level ${predicted.meanLevel.toFixed(3)}`,
    ];
  }
}
