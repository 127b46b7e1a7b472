import { estimateMean } from '../../src/study/sweep/confidence.ts';

const BLOCKS = 10;

/** How a value that was read at even distances goes up or down. */
export interface Trend {
  /** From the first reading to the last, with half the width of its 95 % confidence interval. */
  readonly grown: number;
  readonly plusMinus: number;
}

/**
 * The mean of every pair of a block in the first half and the same one in the second half: what comes and goes within a block (a
 * collection of garbage, say) evens out, and what is left of it shows in the interval. Blocks of five values or more.
 *
 * @throws RangeError for fewer than two values a block
 */
export function trendOf(values: readonly number[]): Trend {
  const size = Math.floor(values.length / BLOCKS);
  if (size < 2) throw new RangeError(`a trend of ${values.length} values, expected ${2 * BLOCKS} or more`);
  const blocks = Array.from({ length: BLOCKS }, (_, at) => {
    const block = values.slice(at * size, (at + 1) * size).sort((a, b) => a - b);
    return block[Math.floor(size / 2)]!;
  });
  const half = BLOCKS / 2;
  // Half of the time lies between a block and its partner.
  const { mean, plusMinus } = estimateMean(blocks.slice(half).map((value, at) => 2 * (value - blocks[at]!)));
  return { grown: mean, plusMinus: plusMinus! };
}
