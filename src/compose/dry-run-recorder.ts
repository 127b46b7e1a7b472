import { basename, dirname, extname, join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { Level } from '../core/controller.ts';
import { Histogram } from '../core/histogram.ts';
import type { RecordedPrediction } from '../core/recording-format.ts';
import type { Snapshot } from '../core/sensor.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import { formatNs, formatQuantile } from '../core/units.ts';
import type { ServiceConfig } from '../policy/load-config.ts';
import type { OpenedSensor } from '../sensor/opened-sensor.ts';
import { RecordingFile } from '../sensor/recording-file.ts';
import { TurnRecorder } from '../sensor/turn-recorder.ts';
import { currentFrequencyKhz } from '../sysfs/current-frequency.ts';

export interface RecordRequest {
  /** Of one service; of several, each has its own beside it: see `recordingFileOf`. */
  readonly file: string;
  /** Of each file. */
  readonly limitBytes: number;
}

export interface DryRunRecorderOptions extends RecordRequest {
  readonly sensor: OpenedSensor;
  /** In the order of the sensor's targets. */
  readonly services: readonly ServiceConfig[];
  /** The real machine's. */
  readonly tree: SysfsTree;
  readonly clock: Clock;
}

/** A file holds one service: of several, `day.rec` becomes `day.cache.rec` for the one that is called cache. */
function recordingFileOf(file: string, service: string, services: number): string {
  if (services === 1) return file;
  const extension = extname(file);
  return join(dirname(file), `${basename(file, extension)}.${service}${extension}`);
}

/** Records what a dry run measures, and sums up what it predicts: both in one file a service, to be compared by a simulation. */
export class DryRunRecorder {
  /** The names of those that are recorded. */
  readonly services: readonly string[];
  readonly #recorder: TurnRecorder;
  readonly #predictions: readonly Prediction[];
  #closed = false;

  /** @throws UsageError where a file cannot be created */
  constructor({ file, limitBytes, sensor, services, tree, clock }: DryRunRecorderOptions) {
    this.services = services.map(({ name }) => name);
    this.#predictions = services.map((service) => new Prediction(service));
    this.#recorder = new TurnRecorder({
      sensor,
      targets: services.map(({ name, slo: { quantile, latencyNs } }) => ({
        file: new RecordingFile(recordingFileOf(file, name, services.length), limitBytes),
        target: name,
        slo: { quantile, latencyNs },
      })),
      clock,
      frequencyKhz: () => currentFrequencyKhz(tree),
    });
  }

  /** What was measured, before any prediction. */
  measured(snapshots: readonly Snapshot[]): void {
    if (!this.#closed) this.#recorder.window(snapshots);
  }

  /** @param levels at which the windows were predicted, in the order of `services` */
  predicted(snapshots: readonly Snapshot[], levels: readonly Level[]): void {
    if (this.#closed) return;
    this.services.forEach((name, index) => {
      const snapshot = snapshots.find(({ target }) => target === name);
      if (snapshot !== undefined) this.#predictions[index]!.add(snapshot, levels[index]!);
    });
  }

  /** Once; later calls do nothing. @returns what became of it, a line each */
  close(): readonly string[] {
    if (this.#closed) return [];
    this.#closed = true;
    const predicted = this.#predictions.map((prediction) => prediction.result);
    const outcomes = this.#recorder.close(predicted);
    return outcomes.flatMap(({ text }, index) => [text, this.#predictions[index]!.text]);
  }
}

/** What a dry run says of one service, over its whole length. */
class Prediction {
  readonly #service: ServiceConfig;
  readonly #latency = new Histogram();
  #overSlo = 0;
  #levelNs = 0;
  #lengthNs = 0;

  constructor(service: ServiceConfig) {
    this.#service = service;
  }

  add(snapshot: Snapshot, level: Level): void {
    this.#latency.add(snapshot.latency);
    this.#overSlo += snapshot.overSlo;
    this.#levelNs += level * snapshot.windowNs;
    this.#lengthNs += snapshot.windowNs;
  }

  get result(): RecordedPrediction {
    const { slo, policy } = this.#service;
    return {
      policy: policy.file,
      requests: this.#latency.count,
      overSlo: this.#overSlo,
      p50Ns: Math.round(this.#latency.quantileNs(0.5)),
      quantileNs: Math.round(this.#latency.quantileNs(slo.quantile)),
      meanLevel: this.#lengthNs === 0 ? 1 : this.#levelNs / this.#lengthNs,
    };
  }

  get text(): string {
    const { name, slo } = this.#service;
    const { policy, requests, overSlo, quantileNs, meanLevel } = this.result;
    const late = requests === 0 ? 0 : (overSlo / requests) * 100;
    return `predicted of ${basename(policy)} over ${requests} requests: ${formatQuantile(slo.quantile)} ${formatNs(quantileNs)}, ${late.toFixed(2)} % over ${formatNs(slo.latencyNs)}, mean level ${meanLevel.toFixed(3)} (${name})`;
  }
}
