import { release } from 'node:os';
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import {
  recordingEndLine,
  recordingHeaderLine,
  recordingLine,
  recordingMarkLine,
  type RecordedPrediction,
  type RecordingHeader,
  type RecordingMark,
} from '../core/recording-format.ts';
import type { Snapshot } from '../core/sensor.ts';
import { type KiloHertz, kiloHertz, NS_PER_MS, NS_PER_S } from '../core/units.ts';
import type { OpenedSensor } from './opened-sensor.ts';
import { RecordingFile } from './recording-file.ts';

const MARK_EVERY_NS = NS_PER_S;

export interface TurnRecorderOptions {
  readonly file: RecordingFile;
  /** With `record`; its first target is recorded. */
  readonly sensor: OpenedSensor;
  readonly target: string;
  readonly slo?: NonNullable<RecordingHeader['slo']>;
  readonly clock: Clock;
  /** Mean over the CPUs; null where it is not known. */
  readonly frequencyKhz: () => KiloHertz | null;
}

/** Writes what a sensor streams into a recording. `drain` often, `window` with every snapshot, `close` at the end. */
export class TurnRecorder {
  readonly #options: TurnRecorderOptions;
  readonly #turns;
  #written = 0;
  #leftOut = 0;
  #cpuTimeNs = 0;
  #cpuRequests = 0;
  readonly #busiest = { sum: 0, count: 0 };
  readonly #frequency = { sum: 0, count: 0 };
  #markedAtNs = 0;

  /** @throws RangeError for a sensor that does not stream */
  constructor(options: TurnRecorderOptions) {
    const { sensor, clock, file } = options;
    if (sensor.turns === null) throw new RangeError('record turns: the sensor was opened without `record`');
    this.#options = options;
    this.#turns = sensor.turns;
    const sinceStartMs = Number(clock.monotonicNs() - sensor.turns.startNs) / NS_PER_MS;
    file.add(
      recordingHeaderLine({
        target: options.target,
        unit: sensor.unit,
        startedAt: new Date(clock.wallMs() - sinceStartMs).toISOString(),
        startedAtNs: Number(sensor.turns.startNs),
        method: sensor.method,
        kernel: release(),
        ...(options.slo === undefined ? {} : { slo: options.slo }),
        frequencyKhz: options.frequencyKhz(),
      }),
    );
  }

  drain(): void {
    this.#turns.drain(this.#take);
  }

  /** @param snapshot of the target that is recorded, as it was measured */
  window(snapshot: Snapshot): void {
    this.drain();
    if (snapshot.cpuTimeNs !== null) {
      this.#cpuTimeNs += snapshot.cpuTimeNs;
      this.#cpuRequests += snapshot.requests;
    }
    if (snapshot.busiestThreadRatio !== null) addTo(this.#busiest, snapshot.busiestThreadRatio);
    const khz = this.#options.frequencyKhz();
    if (khz !== null) addTo(this.#frequency, khz);
    const mark = this.#mark();
    if (mark.atNs - this.#markedAtNs < MARK_EVERY_NS) return;
    this.#markedAtNs = mark.atNs;
    this.#options.file.add(recordingMarkLine(mark));
    this.#options.file.flush();
  }

  /**
   * Ends the recording; before the sensor is closed.
   *
   * @returns what became of it, for humans, and whether all of it is there
   */
  close(predicted?: RecordedPrediction): { readonly whole: boolean; readonly text: string } {
    const { file } = this.#options;
    this.#turns.finish(this.#take);
    const end = { ...this.#mark(), reason: file.ended === 'limit' ? ('limit' as const) : ('done' as const) };
    file.flush(recordingEndLine(predicted === undefined ? end : { ...end, predicted }));
    file.close();
    const { ended } = file;
    const why =
      ended === null
        ? ''
        : ended === 'limit'
          ? '; it ended early, at the size that it was allowed'
          : `; it ended early: ${messageOf(ended)}`;
    const lost = end.lost > 0 ? `, ${end.lost} lost on the way` : '';
    return {
      whole: ended === null && end.lost === 0,
      text: `recorded ${this.#written} requests in ${file.name}${lost}${why}`,
    };
  }

  readonly #take = (target: number, arrivalNs: number, socketWaitNs: number, handlingTimeNs: number): void => {
    // What arrived before the recording began has no place in it.
    if (target !== 0 || arrivalNs < 0) return;
    if (this.#options.file.add(recordingLine(arrivalNs, socketWaitNs, handlingTimeNs))) this.#written++;
    else this.#leftOut++;
  };

  #mark(): RecordingMark {
    const { clock } = this.#options;
    return {
      atNs: Number(clock.monotonicNs() - this.#turns.startNs),
      cpuTimeNs: Math.round(this.#cpuTimeNs),
      cpuRequests: this.#cpuRequests,
      busiestThreadRatio: meanOf(this.#busiest),
      frequencyKhz: khzOrNull(meanOf(this.#frequency)),
      lost: this.#turns.lost(0) + this.#leftOut,
    };
  }
}

interface Sum {
  sum: number;
  count: number;
}

function addTo(total: Sum, value: number): void {
  total.sum += value;
  total.count++;
}

const meanOf = ({ sum, count }: Sum): number | null => (count === 0 ? null : sum / count);
const khzOrNull = (khz: number | null): KiloHertz | null => (khz === null ? null : kiloHertz(Math.round(khz)));
