import { type Histogram, bucketHighNs } from '../core/histogram.ts';
import { highestShare } from './binomial.ts';

/**
 * A time, in ns, that the quantile of all such requests lies below with the given confidence (one-sided, exact for
 * independent samples; requests that queue together are not, so it is the least that one must allow for).
 * @param quantile 0..1
 * @param confidence 0..1
 * @returns null where the samples are too few for any bound: a p99 needs 299 of them at 95 %
 */
export function quantileBoundNs(histogram: Histogram, quantile: number, confidence = 0.95): number | null {
  const { count, inUse } = histogram;
  let bound: number | null = null;
  let above = 0;
  for (let at = inUse.length - 2; at >= 0; at -= 2) {
    if (highestShare(above, count, confidence) > 1 - quantile) return bound;
    bound = bucketHighNs(inUse[at]!);
    above += inUse[at + 1]!;
  }
  return bound;
}
