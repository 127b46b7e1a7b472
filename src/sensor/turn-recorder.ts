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
import type { RequestUnit, Snapshot } from '../core/sensor.ts';
import { type KiloHertz, kiloHertz, NS_PER_MS, NS_PER_S } from '../core/units.ts';
import type { OpenedSensor } from './opened-sensor.ts';
import type { RecordingFile } from './recording-file.ts';
import type { TurnStream } from './turn-stream.ts';

const MARK_EVERY_NS = NS_PER_S;

export interface TurnRecorderOptions {
  /** With `record`. */
  readonly sensor: OpenedSensor;
  /** Where to write what, in the order of the sensor's targets. */
  readonly targets: readonly RecordedTarget[];
  readonly clock: Clock;
  /** Mean over the CPUs; null where it is not known. */
  readonly frequencyKhz: () => KiloHertz | null;
}

export interface RecordedTarget {
  readonly file: RecordingFile;
  readonly target: string;
  readonly slo?: NonNullable<RecordingHeader['slo']>;
}

/** What became of a recording. */
export interface RecordingOutcome {
  /** Whether all of it is there. */
  readonly whole: boolean;
  readonly text: string;
}

/** Writes what a sensor streams into a recording a target. `drain` often, `window` with every snapshot, `close` at the end. */
export class TurnRecorder {
  readonly #turns: TurnStream;
  readonly #frequencyKhz: TurnRecorderOptions['frequencyKhz'];
  readonly #recordings: readonly TargetRecording[];

  /** @throws RangeError for a sensor that does not stream */
  constructor({ sensor, targets, clock, frequencyKhz }: TurnRecorderOptions) {
    if (sensor.turns === null) throw new RangeError('record turns: the sensor was opened without `record`');
    const { turns } = sensor;
    this.#turns = turns;
    this.#frequencyKhz = frequencyKhz;
    const sinceStartMs = Number(clock.monotonicNs() - turns.startNs) / NS_PER_MS;
    this.#recordings = targets.map(({ file, target, slo }, index) => {
      file.add(
        recordingHeaderLine({
          target,
          unit: sensor.unit,
          startedAt: new Date(clock.wallMs() - sinceStartMs).toISOString(),
          startedAtNs: Number(turns.startNs),
          method: sensor.method,
          kernel: release(),
          ...(slo === undefined ? {} : { slo }),
          frequencyKhz: frequencyKhz(),
        }),
      );
      const sinceStartNs = () => Number(clock.monotonicNs() - turns.startNs);
      return new TargetRecording(file, sinceStartNs, () => turns.lost(index));
    });
  }

  drain(): void {
    this.#turns.drain(this.#take);
  }

  /** @param snapshots of the targets in their order, as they were measured */
  window(snapshots: readonly Snapshot[]): void {
    this.drain();
    const khz = this.#frequencyKhz();
    this.#recordings.forEach((recording, index) => recording.window(snapshots[index]!, khz));
  }

  /** Ends the recordings; before the sensor is closed. @param predicted in the order of the targets */
  close(predicted: readonly RecordedPrediction[] = []): readonly RecordingOutcome[] {
    this.#turns.finish(this.#take);
    return this.#recordings.map((recording, index) => recording.close(predicted[index]));
  }

  readonly #take = (target: number, arrivalNs: number, socketWaitNs: number, handlingTimeNs: number): void => {
    // What arrived before the recording began has no place in it.
    if (arrivalNs >= 0) this.#recordings[target]?.add(arrivalNs, socketWaitNs, handlingTimeNs);
  };
}

/** What is known of one target, on its way into its file. */
class TargetRecording {
  readonly #file: RecordingFile;
  readonly #sinceStartNs: () => number;
  readonly #lost: () => number;
  #written = 0;
  #leftOut = 0;
  #cpuTimeNs = 0;
  #cpuRequests = 0;
  readonly #busiest = { sum: 0, count: 0 };
  readonly #frequency = { sum: 0, count: 0 };
  readonly #units: Partial<Record<RequestUnit, number>> = {};
  #markedAtNs = 0;

  /** @param lost how many did not find their way to us */
  constructor(file: RecordingFile, sinceStartNs: () => number, lost: () => number) {
    this.#file = file;
    this.#sinceStartNs = sinceStartNs;
    this.#lost = lost;
  }

  add(arrivalNs: number, socketWaitNs: number, handlingTimeNs: number): void {
    if (this.#file.add(recordingLine(arrivalNs, socketWaitNs, handlingTimeNs))) this.#written++;
    else this.#leftOut++;
  }

  window(snapshot: Snapshot, khz: KiloHertz | null): void {
    this.#count(snapshot);
    const other = snapshot.http2?.otherUnit;
    if (other !== undefined) this.#count(other);
    if (snapshot.cpuTimeNs !== null) {
      this.#cpuTimeNs += snapshot.cpuTimeNs;
      this.#cpuRequests += snapshot.requests + (other?.requests ?? 0);
    }
    if (snapshot.busiestThreadRatio !== null) addTo(this.#busiest, snapshot.busiestThreadRatio);
    if (khz !== null) addTo(this.#frequency, khz);
    const mark = this.#mark();
    if (mark.atNs - this.#markedAtNs < MARK_EVERY_NS) return;
    this.#markedAtNs = mark.atNs;
    this.#file.add(recordingMarkLine(mark));
    this.#file.flush();
  }

  close(predicted: RecordedPrediction | undefined): RecordingOutcome {
    const file = this.#file;
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

  #count({ unit, requests }: Pick<Snapshot, 'unit' | 'requests'>): void {
    if (requests > 0) this.#units[unit] = (this.#units[unit] ?? 0) + requests;
  }

  #mark(): RecordingMark {
    return {
      atNs: this.#sinceStartNs(),
      cpuTimeNs: Math.round(this.#cpuTimeNs),
      cpuRequests: this.#cpuRequests,
      busiestThreadRatio: meanOf(this.#busiest),
      frequencyKhz: khzOrNull(meanOf(this.#frequency)),
      lost: this.#lost() + this.#leftOut,
      units: { ...this.#units },
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
