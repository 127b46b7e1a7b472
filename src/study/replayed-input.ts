import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { UsageError } from '../core/errors.ts';
import type { RecordedPrediction } from '../core/recording-format.ts';
import type { Slo } from '../core/slo.ts';
import { readRecording } from '../plant/recording.ts';
import { type Replay, replayOf } from '../plant/replay.ts';
import type { ServerModel } from '../plant/server-model.ts';
import type { Workload } from '../plant/workloads.ts';
import { type Objective, sloFrom } from './objective.ts';

/** What stands for the trace of a replay. */
export const RECORDED_TRACE = 'its recorded arrivals';

export interface ReplayedInput {
  readonly replay: Replay;
  readonly slo: Slo;
  /** What reports show of it. */
  readonly workload: Workload;
  readonly predicted: RecordedPrediction | null;
}

/** Reading one takes a while, and the runs of a sweep that replay the same one follow each other. */
let lastRead: { readonly key: string; readonly input: ReplayedInput } | undefined;

/**
 * @param objective null: that of the recording
 * @throws PolicyError for what is wrong in the file, UsageError for a recording that cannot be replayed so
 */
export function replayedInput(file: string, objective: Objective | null, server: ServerModel): ReplayedInput {
  const about = statSync(file, { throwIfNoEntry: false });
  const key = JSON.stringify([file, about?.mtimeMs, about?.size, objective, server.machine.domains]);
  if (lastRead?.key !== key) lastRead = { key, input: read(file, objective, server) };
  return lastRead.input;
}

function read(file: string, objective: Objective | null, server: ServerModel): ReplayedInput {
  const recording = readRecording(file);
  if (recording.arrivalsNs.length === 0) throw new UsageError(`--recording ${file}: holds no request, expected some`);
  const held = objective ?? recording.header.slo;
  if (held === undefined) {
    throw new UsageError(`--slo: the recording ${file} has no objective, expected one such as p99:5ms`);
  }
  const slo = sloFrom(held);
  const highestKhz = Math.max(...server.machine.domains.map(({ maxKhz }) => maxKhz));
  const replay = replayOf(recording, { name: 'service', highestKhz, sloLatencyNs: slo.latencyNs });
  const { demand, frequencyBoundRatio, dispatch } = replay.service;
  return {
    replay,
    slo,
    workload: {
      summary: `${recording.arrivalsNs.length} requests of ${recording.header.target}, recorded from ${recording.header.startedAt}, replayed from ${basename(file)}`,
      source: replay.notes.join(' '),
      ...{ demand, frequencyBoundRatio, dispatch, sloLatencyNs: slo.latencyNs },
    },
    predicted: recording.end?.predicted ?? null,
  };
}
