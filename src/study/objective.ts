import { UsageError } from '../core/errors.ts';
import type { Slo } from '../core/slo.ts';
import { parseDurationNs, parseQuantile } from '../core/units.ts';

/** What a simulation's requests are held against; the compliance window is the same for all. */
export type Objective = Pick<Slo, 'quantile' | 'latencyNs'>;

const COMPLIANCE_WINDOW_MS = 60_000;

export const sloFrom = (objective: Objective): Slo => ({ ...objective, windowMs: COMPLIANCE_WINDOW_MS });

/** `p99:5ms`; undefined for anything else */
export function parseObjective(text: string): Objective | undefined {
  const [left = '', right = '', ...rest] = text.split(':');
  const quantile = parseQuantile(left);
  const latencyNs = parseDurationNs(right);
  if (rest.length > 0 || quantile === undefined || latencyNs === undefined || latencyNs <= 0) return undefined;
  return { quantile, latencyNs };
}

/** @throws UsageError that names the option */
export function objectiveOption(text: string): Objective {
  const objective = parseObjective(text);
  if (objective === undefined) {
    throw new UsageError(`--slo ${text}: expected a quantile and a latency such as p99:5ms`);
  }
  return objective;
}
