import { UsageError } from '../core/errors.ts';
import { NS_PER_S, parseDurationNs } from '../core/units.ts';
import { LONGEST_DURATION_NS } from '../study/sweep/sweep-cell.ts';

/** Reads `--duration` of commands that simulate, such as `1h`, into ns of simulated time. @throws UsageError */
export function simulatedDurationNs(text: string): number {
  const ns = parseDurationNs(text) ?? NaN;
  if (ns >= NS_PER_S && ns <= LONGEST_DURATION_NS) return ns;
  throw new UsageError(`--duration ${text}: expected a time from 1s to 100d, such as 1h`);
}
