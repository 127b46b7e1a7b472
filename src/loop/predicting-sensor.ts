import type { Level } from '../core/controller.ts';
import { bucketHighNs, bucketLowNs, Histogram } from '../core/histogram.ts';
import type { Sensor, Snapshot } from '../core/sensor.ts';
import type { Slo } from '../core/slo.ts';

/** Predicted utilisation stops here: beyond it a queue has no steady state, and any figure would be an invention. */
const HIGHEST_UTILIZATION = 0.98;

/**
 * Dry run slows no CPU, so the latency that is measured never answers the controller, and feedback would walk to the
 * floor. This sensor rescales what it measures to the level that was asked for, by the model of `predictSnapshot`.
 *
 * @param levelOf the level that the target would be at now, as a share of the one that it really runs at
 * @param sloOf the target's objective, for counting requests over it
 */
export function predictingSensor(
  sensor: Sensor,
  levelOf: (target: string) => Level,
  sloOf: (target: string) => Slo,
): Sensor {
  return {
    method: sensor.method,
    unit: sensor.unit,
    read: (urgent, rearm) =>
      sensor.read(urgent, rearm).map((seen) => predictSnapshot(seen, levelOf(seen.target), sloOf(seen.target))),
    ...(sensor.alarms === undefined ? {} : { alarms: sensor.alarms }),
    close: () => sensor.close(),
  };
}

/**
 * What the snapshot would have been at a share `level` (0..1] of the speed at which it was measured. The CPU share of
 * handling time grows with 1/level (all of it where the demand is not known); socket wait grows as an M/G/1 queue's does:
 * with the service time, and with ρ/(1 − ρ), where ρ becomes ρ/level. Times are scaled bucket by bucket with one factor
 * each, so the shape of a distribution is kept; bursts, locks and caches are not modelled.
 */
export function predictSnapshot(seen: Snapshot, level: Level, slo: Slo): Snapshot {
  if (level >= 1 || seen.requests === 0) return seen;
  const slowdown = 1 / Math.max(level, 0.01);
  const cpuShare =
    seen.cpuTimeNs === null || seen.handlingTime.sumNs === 0
      ? 1
      : Math.min(1, seen.cpuTimeNs / seen.handlingTime.sumNs);
  const handlingFactor = 1 + cpuShare * (slowdown - 1);
  const utilization = Math.min(HIGHEST_UTILIZATION, seen.busiestThreadRatio ?? 0);
  const slowed = Math.min(HIGHEST_UTILIZATION, utilization * handlingFactor);
  const waitFactor =
    utilization > 0 ? handlingFactor * ((slowed * (1 - utilization)) / (utilization * (1 - slowed))) : handlingFactor;

  const socketWait = scale(seen.socketWait, waitFactor);
  const handlingTime = scale(seen.handlingTime, handlingFactor);
  const meanNs = seen.socketWait.sumNs + seen.handlingTime.sumNs;
  const latencyFactor = meanNs > 0 ? (socketWait.sumNs + handlingTime.sumNs) / meanNs : handlingFactor;
  const latency = scale(seen.latency, latencyFactor);
  return {
    ...seen,
    latency,
    socketWait,
    handlingTime,
    overSlo: Math.min(seen.requests, latency.countAbove(slo.latencyNs)),
    // Little's law: as many more in flight as each stays longer.
    inFlight: Math.round(seen.inFlight * latencyFactor),
    oldestInFlightNs: seen.oldestInFlightNs * latencyFactor,
    cpuTimeNs: seen.cpuTimeNs === null ? null : seen.cpuTimeNs * slowdown,
    busiestThreadRatio: seen.busiestThreadRatio === null ? null : slowed,
  };
}

function scale(histogram: Histogram, factor: number): Histogram {
  const scaled = new Histogram();
  histogram.counts.forEach((count, bucket) => {
    if (count > 0) scaled.record(((bucketLowNs(bucket) + bucketHighNs(bucket)) / 2) * factor, count);
  });
  return new Histogram(scaled.counts, histogram.sumNs * factor);
}
