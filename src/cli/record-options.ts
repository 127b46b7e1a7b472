import { InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../core/clock.ts';
import { UsageError } from '../core/errors.ts';
import type { Snapshot } from '../core/sensor.ts';
import type { OpenedSensor } from '../sensor/opened-sensor.ts';
import { RecordingFile } from '../sensor/recording-file.ts';
import { type RecordingOutcome, TurnRecorder } from '../sensor/turn-recorder.ts';
import { currentFrequencyKhz } from '../sysfs/current-frequency.ts';
import { realTree } from '../sysfs/real-tree.ts';

export interface RecordOptions {
  readonly record?: string;
  readonly recordLimit: number;
}

/** The kernel's buffer holds 350,000 requests: at a million a second it would be full after a third of a second. */
const DRAIN_EVERY_MS = 100;
const MIB = 1024 * 1024;

export const recordOption = (
  description = 'write the arrival and the handling time of every request, for simulate --recording',
) => new Option('--record <file>', description);

export const recordLimitOption = () =>
  new Option('--record-limit <MiB>', 'how large that file may grow; about 30 bytes a request')
    .argParser((text) => {
      const mib = Number(text);
      if (!(mib >= 1 && mib <= MIB)) throw new InvalidArgumentError(`expected 1 to ${MIB}`);
      return mib * MIB;
    })
    .default(1024 * MIB, '1024');

/** Created before anything is measured, so that a bad name is told at once. @throws UsageError */
export function recordingFile({ record, recordLimit }: RecordOptions, targets: number): RecordingFile | null {
  if (record === undefined) return null;
  if (targets !== 1) throw new UsageError(`--record ${record}: ${targets} targets, expected one: a file holds one`);
  return new RecordingFile(record, recordLimit);
}

/** Records until it is closed, which says on stderr what became of it; an incomplete recording is a failure. */
export function recordSensor(file: RecordingFile, sensor: OpenedSensor, target: string) {
  const tree = realTree('/sys');
  const recorder = new TurnRecorder({
    ...{ sensor, targets: [{ file, target }] },
    clock: systemClock,
    frequencyKhz: () => currentFrequencyKhz(tree),
  });
  const drain = setInterval(() => recorder.drain(), DRAIN_EVERY_MS);
  return {
    window: (snapshot: Snapshot) => recorder.window([snapshot]),
    close() {
      clearInterval(drain);
      const [{ whole, text }] = recorder.close() as [RecordingOutcome];
      tree.close();
      process.stderr.write(`${text}\n`);
      if (!whole) process.exitCode = 1;
    },
  };
}
