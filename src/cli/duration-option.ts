import { UsageError } from '../core/errors.ts';
import { NS_PER_MS, parseDurationNs } from '../core/units.ts';

/** Beyond 2³¹ − 1 ms, 24.8 days, a timer of Node fires at once. */
const LONGEST_MS = 24 * 86_400_000;

/** Reads an option's time, such as `10s`, into ms: no longer than a timer can wait. */
export function durationOption(option: string, leastMs: number): (text: string) => number {
  return (text) => {
    const ms = (parseDurationNs(text) ?? NaN) / NS_PER_MS;
    if (ms >= leastMs && ms <= LONGEST_MS) return ms;
    const least = leastMs < 1000 ? `${leastMs}ms` : `${leastMs / 1000}s`;
    throw new UsageError(`${option} ${text}: expected a time from ${least} to 24d, such as 10s`);
  };
}
