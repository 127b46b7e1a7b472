import { UsageError } from '../core/errors.ts';
import { NS_PER_MS, parseDurationNs } from '../core/units.ts';

/** Reads an option's time, such as `10s`, into ms. */
export function durationOption(option: string, leastMs: number): (text: string) => number {
  return (text) => {
    const ms = (parseDurationNs(text) ?? 0) / NS_PER_MS;
    if (ms < leastMs) throw new UsageError(`${option} ${text}: expected a time of ${leastMs}ms or more, such as 10s`);
    return ms;
  };
}
