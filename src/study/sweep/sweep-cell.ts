import { basename } from 'node:path';
import type { PlanStrategy } from '../../core/planner.ts';
import type { Slo } from '../../core/slo.ts';
import type { ServerModel } from '../../plant/server-model.ts';
import { type Objective, sloFrom } from '../objective.ts';
import { RECORDED_TRACE, replayedInput } from '../replayed-input.ts';
import { traceNamed, workloadNamed } from '../scenario.ts';

/** What a server is asked: requests of a workload under a trace, by their names, or those of a recording, by its file. */
export type SweepLoad = { readonly workload: string; readonly trace: string } | { readonly recording: string };

/** What every policy of a sweep meets: all but the policy and the seed. Plain data, for it goes to threads. */
export interface SweepCell {
  readonly load: SweepLoad;
  readonly server: ServerModel;
  readonly slo: Slo;
  readonly cores: number;
  readonly durationNs: number;
  readonly strategy: PlanStrategy;
  /** One for a recording: nothing in it is random. */
  readonly seeds: readonly number[];
}

/** Cells are their product. */
export interface SweepDimensions {
  readonly workloads: readonly string[];
  readonly traces: readonly string[];
  /** Files. */
  readonly recordings: readonly string[];
  readonly servers: readonly ServerModel[];
  /** Empty: that of the workload or the recording. */
  readonly objectives: readonly Objective[];
  readonly seeds: readonly number[];
  /** Absent: all of the server; of a recording, as many as served. */
  readonly cores?: number;
  /** Absent: a recording's own. */
  readonly durationNs?: number;
  readonly strategy: PlanStrategy;
}

/** Of workloads. */
export const USUAL_DURATION_NS = 300e9;
/** Simulated time is a number of ns, exact below 2^53: 100 days. */
export const LONGEST_DURATION_NS = 100 * 86_400e9;

/** Checks all that is named. @throws UsageError, PolicyError */
export function sweepCells(dimensions: SweepDimensions): readonly SweepCell[] {
  const { workloads, traces, recordings, servers, objectives, seeds, strategy } = dimensions;
  const durationNs = dimensions.durationNs ?? USUAL_DURATION_NS;
  for (const trace of traces) traceNamed(trace, durationNs);
  const asked: readonly (Objective | null)[] = objectives.length === 0 ? [null] : objectives;
  const product = servers.flatMap((server) => asked.map((objective) => ({ server, objective })));
  const ofWorkload = (load: { readonly workload: string; readonly trace: string }): SweepCell[] => {
    const { sloLatencyNs } = workloadNamed(load.workload);
    return product.map(({ server, objective }) => ({
      ...{ load, server, durationNs, strategy, seeds },
      slo: sloFrom(objective ?? { quantile: 0.99, latencyNs: sloLatencyNs }),
      cores: dimensions.cores ?? server.power.coreCount,
    }));
  };
  const ofRecording = (recording: string): SweepCell[] =>
    product.map(({ server, objective }) => {
      const { slo, replay } = replayedInput(recording, objective, server);
      return {
        ...{ load: { recording }, server, slo, strategy, seeds: seeds.slice(0, 1) },
        cores: dimensions.cores ?? replay.workers,
        durationNs: dimensions.durationNs ?? Math.min(LONGEST_DURATION_NS, replay.lengthNs),
      };
    });
  return [
    ...workloads.flatMap((workload) => traces.flatMap((trace) => ofWorkload({ workload, trace }))),
    ...recordings.flatMap(ofRecording),
  ];
}

/** As tables call it. */
export const namesOfLoad = (load: SweepLoad): { readonly workload: string; readonly trace: string } =>
  'recording' in load ? { workload: basename(load.recording), trace: RECORDED_TRACE } : load;
