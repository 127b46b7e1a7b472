import { z } from 'zod';
import { NS_PER_MS, parseDurationNs, parseFrequencyKhz, parseQuantile, parseRatePerS } from './units.ts';

/**
 * Quantities as files write them: text with a unit, turned into the project's numbers. Editors get to see the patterns (JSON
 * Schema), the parsers of units.ts decide.
 */
const DURATION = /^\d+(\.\d+)?\s*(ns|us|µs|ms|s|min|h|d)$/;
const FREQUENCY = /^\d+(\.\d+)?\s*(kHz|MHz|GHz)$/;
const RATE = /^\d+(\.\d+)?\s*\/\s*(s|min|h)$/;
const QUANTILE = /^p(\d{1,2}(\.\d+)?|9\d{2,4})$/;

/** The least and the most that is accepted, as files write them. */
export interface QuantityRange {
  readonly min?: string;
  readonly max?: string;
}

/** `1.5ms` → 1,500,000 ns */
export const durationNs = (range: QuantityRange = {}) =>
  quantity(DURATION, parseDurationNs, 'a duration', ['5ms', '1.5s', '1min'], range);

/** `1.5s` → 1,500 ms */
export const durationMs = (range: QuantityRange = {}) =>
  quantity(DURATION, parseDurationMs, 'a duration', ['100ms', '5s', '1min'], range);

/** `2.4GHz` → 2,400,000 kHz */
export const frequencyKhz = (range: QuantityRange = {}) =>
  quantity(FREQUENCY, parseFrequencyKhz, 'a frequency', ['800MHz', '2.4GHz'], range);

/** `0.5/s` → 0.5, `30/min` → 0.5 */
export const ratePerS = (range: QuantityRange = {}) =>
  quantity(RATE, parseRatePerS, 'a rate', ['0.5/s', '30/min'], range);

/** `p99` → 0.99 */
export const quantile = () => quantity(QUANTILE, parseQuantile, 'a quantile', ['p50', 'p95', 'p99', 'p99.9'], {});

function parseDurationMs(text: string): number | undefined {
  const ns = parseDurationNs(text);
  return ns === undefined ? undefined : ns / NS_PER_MS;
}

function quantity<T extends number>(
  pattern: RegExp,
  parse: (text: string) => T | undefined,
  noun: string,
  examples: string[],
  range: QuantityRange,
) {
  const from = range.min === undefined ? '' : ` from ${range.min}`;
  const to = range.max === undefined ? '' : ` up to ${range.max}`;
  const expected = `${noun}${from}${to} such as ${examples.slice(0, -1).join(', ')} or ${examples.at(-1)!}`;
  const refusal = (input: unknown) =>
    input === undefined ? `missing, expected ${expected}` : `${JSON.stringify(input)} given, expected ${expected}`;
  const least = range.min === undefined ? -Infinity : (parse(range.min) ?? -Infinity);
  const most = range.max === undefined ? Infinity : (parse(range.max) ?? Infinity);
  return z
    .string({ error: (issue) => refusal(issue.input) })
    .regex(pattern, { error: (issue) => refusal(issue.input), abort: true })
    .meta({ examples })
    .transform((text, context) => {
      const value = parse(text);
      if (value !== undefined && Number.isFinite(value) && value >= least && value <= most) return value;
      context.addIssue({ code: 'custom', message: refusal(text) });
      return z.NEVER;
    });
}
