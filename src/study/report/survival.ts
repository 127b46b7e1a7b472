import { bucketHighNs, type Histogram } from '../../core/histogram.ts';
import { NS_PER_MS } from '../../core/units.ts';

/** For a chart: the share of times above each bucket's upper bound, which is in ms. Ends with the last share above 0. */
export function survivalOf(histogram: Histogram): { readonly x: readonly number[]; readonly y: readonly number[] } {
  const x: number[] = [];
  const y: number[] = [];
  let above = histogram.count;
  histogram.counts.forEach((count, bucket) => {
    above -= count;
    if (count === 0 || above <= 0) return;
    x.push(Number((bucketHighNs(bucket) / NS_PER_MS).toPrecision(6)));
    y.push(above / histogram.count);
  });
  return { x, y };
}
