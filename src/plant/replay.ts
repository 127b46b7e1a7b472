import { formatKhz, formatNs, NS_PER_S } from '../core/units.ts';
import type { Recording } from './recording.ts';
import type { ServiceModel } from './service-model.ts';

/** A recording as the plant takes it. */
export interface Replay {
  readonly service: ServiceModel;
  /** From the start of the recording to its last arrival, at least. */
  readonly lengthNs: number;
  /** Threads that served, by what was measured: so many cores can be busy at once. */
  readonly workers: number;
  /** What was assumed and what is missing: a sentence each. */
  readonly notes: readonly string[];
}

/**
 * The recorded requests as a service: the n-th arrival gets the n-th handling time. What of it was CPU time, by the mean over
 * the recording, becomes cycles, brought from the frequency that was recorded, where it was known, to the simulated server's
 * highest; the rest is time that no core and no frequency changes.
 *
 * @throws RangeError for a recording without requests
 */
export function replayOf(
  recording: Recording,
  options: { readonly name: string; readonly highestKhz: number; readonly sloLatencyNs: number },
): Replay {
  const { header, arrivalsNs, handlingTimesNs, mark, end } = recording;
  const requests = arrivalsNs.length;
  if (requests === 0) throw new RangeError('cannot replay a recording without requests');
  const notes: string[] = [];
  if (end === null) notes.push(`The recording was cut off: its ${requests} whole lines are replayed.`);
  if (end?.reason === 'limit') notes.push('The recording ended at the size that it was allowed.');
  const lost = mark?.lost ?? 0;
  if (lost > 0) notes.push(`${lost} requests are missing, for there was no room for them: the real load was higher.`);
  const { turn = 0, stream = 0 } = mark?.units ?? {};
  if (turn > 0 && stream > 0) {
    notes.push(`Of the requests ${stream} were streams of HTTP/2, and ${turn} whole turns of other connections.`);
  }

  const meanHandlingNs = handlingTimesNs.reduce((sum, ns) => sum + ns, 0) / requests;
  const cpuNs = mark !== null && mark.cpuRequests > 0 && mark.cpuTimeNs > 0 ? mark.cpuTimeNs / mark.cpuRequests : null;
  const cpuShare = cpuNs === null || meanHandlingNs === 0 ? busyShareOf(recording) : cpuNs / meanHandlingNs;
  if (cpuNs === null) {
    notes.push(
      'CPU time was not measured: the time in which any request was being handled is taken for work of one core, which frequency changes.',
    );
  } else {
    const rest = Math.max(0, 1 - cpuShare) * meanHandlingNs;
    notes.push(
      `Of a mean handling time of ${formatNs(meanHandlingNs)}, ${formatNs(cpuNs)} a request were measured as CPU time, taken for cycles; ${formatNs(rest)} are taken for waits that no frequency changes, in every request the same share.`,
    );
  }

  const recordedKhz = mark?.frequencyKhz ?? header.frequencyKhz;
  notes.push(
    recordedKhz === null
      ? `The CPUs' frequency was not known: they are taken to have run as fast as the simulated server at ${formatKhz(options.highestKhz)}.`
      : `Recorded at ${formatKhz(recordedKhz)} in the mean; the simulated server's highest is ${formatKhz(options.highestKhz)}.`,
  );
  const speedup = recordedKhz === null ? 1 : options.highestKhz / recordedKhz;
  const lastNs = arrivalsNs.at(-1)!;
  const lengthNs = Math.max(end?.atNs ?? 0, lastNs + 1);
  return {
    service: {
      name: options.name,
      sloLatencyNs: options.sloLatencyNs,
      arrivals: { kind: 'replay', arrivalsNs },
      demand: { kind: 'sequence', valuesNs: handlingTimesNs.map((ns) => (ns * cpuShare) / speedup) },
      frequencyBoundRatio: 1,
      offCoreRatio: (Math.max(0, 1 - cpuShare) / cpuShare) * speedup,
      dispatch: { kind: 'central' },
    },
    lengthNs,
    workers: workersOf(mark?.busiestThreadRatio ?? null, cpuNs, requests / (lengthNs / NS_PER_S)),
    notes,
  };
}

/** The time in which at least one request was being handled ÷ all handling time: 1 where they never overlapped. */
function busyShareOf({ arrivalsNs, socketWaitsNs, handlingTimesNs }: Recording): number {
  const readsNs = arrivalsNs.map((arrivalNs, i) => arrivalNs + socketWaitsNs[i]!);
  const order = Uint32Array.from(readsNs, (_, i) => i).sort((a, b) => readsNs[a]! - readsNs[b]!);
  let busyNs = 0;
  let handlingNs = 0;
  let untilNs = 0;
  for (const i of order) {
    const endNs = readsNs[i]! + handlingTimesNs[i]!;
    busyNs += Math.max(0, endNs - Math.max(untilNs, readsNs[i]!));
    untilNs = Math.max(untilNs, endNs);
    handlingNs += handlingTimesNs[i]!;
  }
  return handlingNs === 0 ? 1 : busyNs / handlingNs;
}

/** Threads that share the work alike are each as busy as the busiest. */
function workersOf(busiestThreadRatio: number | null, cpuNs: number | null, requestsPerS: number): number {
  if (busiestThreadRatio === null || busiestThreadRatio === 0 || cpuNs === null) return 1;
  return Math.max(1, Math.round((cpuNs * requestsPerS) / NS_PER_S / busiestThreadRatio));
}
