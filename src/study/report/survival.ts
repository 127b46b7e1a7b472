import { BUCKETS, bucketHighNs, type Histogram } from '../../core/histogram.ts';
import { NS_PER_MS } from '../../core/units.ts';

/** For a chart: the share of times above each bucket's upper bound, which is in ms. Ends with the last share above 0. */
export function survivalOf(histogram: Histogram): { readonly x: readonly number[]; readonly y: readonly number[] } {
  const x: number[] = [];
  const y: number[] = [];
  let above = histogram.count;
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const count = histogram.counts[bucket]!;
    above -= count;
    if (count === 0 || above <= 0) continue;
    x.push(Number((bucketHighNs(bucket) / NS_PER_MS).toPrecision(6)));
    y.push(above / histogram.count);
  }
  return { x, y };
}
