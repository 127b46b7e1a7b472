import { quantileOf } from '../accuracy/open-loop.ts';
import type { RunningSubject } from '../accuracy/subjects.ts';
import type { OverheadRun } from './overhead-runs.ts';

/** The servers that are driven, of those in bench/accuracy. */
export const SUBJECT_NAMES: readonly string[] = ['redis', 'nginx-small'];

/** Measures each way once a round, the order turning from round to round. @returns by way, a run a round */
export async function alternately<Way>(
  ways: readonly Way[],
  rounds: number,
  measure: (way: Way) => Promise<OverheadRun>,
  onRun: (way: Way, round: number) => void,
): Promise<ReadonlyMap<Way, readonly OverheadRun[]>> {
  const runs = new Map(ways.map((way): [Way, OverheadRun[]] => [way, []]));
  for (let round = 0; round < rounds; round++) {
    const first = round % ways.length;
    for (const way of [...ways.slice(first), ...ways.slice(0, first)]) {
      runs.get(way)!.push(await measure(way));
      onRun(way, round);
    }
  }
  return runs;
}

/** Drives the server as fast as it can. @param readerCpuMs CPU time so far of the process that reads; 0 where nothing does */
export async function saturate(
  running: RunningSubject,
  { seconds, clientCpu }: { readonly seconds: number; readonly clientCpu: number },
  readerCpuMs: () => number,
): Promise<OverheadRun> {
  const beforeMs = readerCpuMs();
  let afterMs = beforeMs;
  // What comes after the load, such as the last events, is not counted, and neither is what we make of it.
  const timer = setTimeout(() => (afterMs = readerCpuMs()), seconds * 1000);
  const view = await running.load({ rate: 0, seconds, seed: 1 }, clientCpu);
  clearTimeout(timer);
  return {
    rps: view.requests / view.seconds,
    p99Us: quantileOf(view.fromWriteNs, 0.99) / 1000,
    readerRatio: (afterMs - beforeMs) / (seconds * 1000),
  };
}
