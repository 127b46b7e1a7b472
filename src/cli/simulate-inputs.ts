import { basename } from 'node:path';
import { z } from 'zod';
import { PolicyError, UsageError } from '../core/errors.ts';
import type { RecordedPrediction } from '../core/recording-format.ts';
import type { Slo } from '../core/slo.ts';
import { formatNs, parseDurationNs, parseQuantile } from '../core/units.ts';
import { readRecording } from '../plant/recording.ts';
import { type Replay, replayOf } from '../plant/replay.ts';
import { serverSchema } from '../plant/server-schema.ts';
import type { ServerModel } from '../plant/server-model.ts';
import { xeonSilver4114 } from '../plant/servers.ts';
import type { Workload } from '../plant/workloads.ts';
import { readYamlFile } from '../policy/yaml-file.ts';

const COMPLIANCE_WINDOW_MS = 60_000;

/** @param text such as `p99:5ms`; absent: p99 and the latency given, if one is. @throws UsageError */
export function sloOption(text: string | undefined, fallback: Pick<Slo, 'quantile' | 'latencyNs'> | null): Slo {
  if (text === undefined) {
    if (fallback === null) throw new UsageError('--slo: the recording has no objective, expected one such as p99:5ms');
    return { ...fallback, windowMs: COMPLIANCE_WINDOW_MS };
  }
  const [left = '', right = '', ...rest] = text.split(':');
  const quantile = parseQuantile(left);
  const latencyNs = parseDurationNs(right);
  if (rest.length > 0 || quantile === undefined || latencyNs === undefined || latencyNs <= 0) {
    throw new UsageError(`--slo ${text}: expected a quantile and a latency such as p99:5ms`);
  }
  return { quantile, latencyNs, windowMs: COMPLIANCE_WINDOW_MS };
}

/** The server that `--power FILE` describes. @throws PolicyError with all of the file's problems */
export function serverOption(file: string | undefined): ServerModel {
  if (file === undefined) return xeonSilver4114;
  const yaml = readYamlFile(file);
  const parsed = serverSchema.safeParse(yaml.data);
  if (parsed.success) return parsed.data;
  throw new PolicyError(
    'bad-file',
    parsed.error.issues.map(({ path, message }) => yaml.problemAt(path, message)),
    { cause: z.prettifyError(parsed.error) },
  );
}

export interface ReplayedInput {
  readonly replay: Replay;
  readonly slo: Slo;
  /** What reports show of it. */
  readonly workload: Workload;
  readonly predicted: RecordedPrediction | null;
}

/** @throws PolicyError for what is wrong in the file, UsageError for a recording that cannot be replayed so */
export function recordingOption(file: string, slo: string | undefined, server: ServerModel): ReplayedInput {
  const recording = readRecording(file);
  if (recording.arrivalsNs.length === 0) throw new UsageError(`--recording ${file}: holds no request, expected some`);
  const objective = sloOption(slo, recording.header.slo ?? null);
  const highestKhz = Math.max(...server.machine.domains.map(({ maxKhz }) => maxKhz));
  const replay = replayOf(recording, { name: 'service', highestKhz, sloLatencyNs: objective.latencyNs });
  const { demand, frequencyBoundRatio, dispatch } = replay.service;
  return {
    replay,
    slo: objective,
    workload: {
      summary: `${recording.arrivalsNs.length} requests of ${recording.header.target}, recorded from ${recording.header.startedAt}, replayed from ${basename(file)}`,
      source: replay.notes.join(' '),
      ...{ demand, frequencyBoundRatio, dispatch, sloLatencyNs: objective.latencyNs },
    },
    predicted: recording.end?.predicted ?? null,
  };
}

/** What a dry run predicted and what the plant makes of the same requests, in one sentence. */
export function predictionLine(
  { policy, requests, overSlo, quantileNs, meanLevel }: RecordedPrediction,
  simulated: { readonly quantileNs: number; readonly violationRatio: number; readonly meanLevel: number },
): string {
  const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
  const figures = (ns: number, late: number, level: number) =>
    `${formatNs(ns)}, ${percent(late)} late, mean level ${level.toFixed(3)}`;
  return (
    `The dry run predicted of ${basename(policy).replace(/\.ya?ml$/, '')}: ${figures(quantileNs, requests === 0 ? 0 : overSlo / requests, meanLevel)}; ` +
    `simulated: ${figures(simulated.quantileNs, simulated.violationRatio, simulated.meanLevel)}.`
  );
}
