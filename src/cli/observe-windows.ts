import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import type { Sensor, Snapshot } from '../core/sensor.ts';
import { NS_PER_MS } from '../core/units.ts';
import { mergeSnapshots } from '../sensor/merge-snapshots.ts';

interface Run {
  readonly sensor: Sensor;
  readonly clock: Clock;
  readonly intervalMs: number;
  /** Infinity: until it is stopped. */
  readonly durationMs: number;
  readonly stopped: AbortSignal;
  readonly onWindow: (snapshots: readonly Snapshot[]) => void;
}

/**
 * Reads a sensor at fixed intervals. When it is stopped in the middle of one, what was seen of it is the last window.
 * @returns the whole run as one window, a target each
 */
export async function observeWindows(run: Run): Promise<readonly Snapshot[]> {
  const { sensor, clock, stopped } = run;
  const startNs = clock.monotonicNs();
  const elapsedMs = () => Number(clock.monotonicNs() - startNs) / NS_PER_MS;
  let total: readonly Snapshot[] | undefined;
  for (let window = 1; ; window++) {
    const endMs = Math.min(window * run.intervalMs, run.durationMs);
    await unlessStopped(endMs - elapsedMs(), stopped);
    const snapshots = sensor.read();
    run.onWindow(snapshots);
    total = total?.map((sum, index) => mergeSnapshots(sum, snapshots[index]!)) ?? snapshots;
    if (stopped.aborted || endMs >= run.durationMs) return total;
  }
}

async function unlessStopped(ms: number, stopped: AbortSignal): Promise<void> {
  try {
    await sleep(Math.max(0, ms), undefined, { signal: stopped });
  } catch (error) {
    if (!stopped.aborted) throw error;
  }
}
