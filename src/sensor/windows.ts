import { setTimeout as sleep } from 'node:timers/promises';
import type { Sensor, Snapshot } from '../core/sensor.ts';

/**
 * Snapshots of all targets, a window each, as long as they are asked for. A reader that is slow gets longer windows, and
 * misses nothing.
 * @param intervalMs from one read to the next, in ms, above 0
 * @param signal ends the windows
 * @throws RangeError for an interval that makes no sense
 */
export async function* windows(
  sensor: Sensor,
  intervalMs: number,
  signal?: AbortSignal,
): AsyncGenerator<readonly Snapshot[], void> {
  if (!(Number.isFinite(intervalMs) && intervalMs > 0)) {
    throw new RangeError(`intervalMs is ${intervalMs}, expected a positive number`);
  }
  for (;;) {
    try {
      await sleep(intervalMs, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      if (signal?.aborted === true) return;
      throw error;
    }
    yield sensor.read();
  }
}
