import { bucketHighNs, BUCKETS, bucketOf, UNIT_SHIFT, type Histogram } from '../core/histogram.ts';
import { NS_PER_S } from '../core/units.ts';
import type { Labels, Sample } from './metrics-exposition.ts';

/**
 * Upper bounds, in ns, `steps` to the octave (1 or 2), from `fromNs` to `toNs` or just beyond. Each is a bound of the
 * sensor's buckets, too, so that what is exported is counted and not interpolated.
 */
export function octaveBoundsNs(fromNs: number, toNs: number, steps: 1 | 2): readonly number[] {
  const first = Math.floor(Math.log2(fromNs / 2 ** UNIT_SHIFT));
  const last = Math.ceil(Math.log2(toNs / 2 ** UNIT_SHIFT));
  return Array.from({ length: last - first + 1 }, (_, octave) => 2 ** (UNIT_SHIFT + first + octave)).flatMap(
    (lowNs, octave) => (steps === 2 && octave < last - first ? [lowNs, lowNs * 1.5] : [lowNs]),
  );
}

/**
 * A histogram of times as Prometheus wants it: cumulative counts by upper bound, sum and count, in seconds.
 *
 * @param boundsNs ascending, each of them a bound of the sensor's buckets
 * @param exact one more bound, that need not be a bucket's, with the count of times up to it
 */
export function histogramSamples(
  labels: Labels,
  histogram: Histogram,
  boundsNs: readonly number[],
  exact?: { readonly boundNs: number; readonly count: number },
): readonly Sample[] {
  const upTo = cumulated(histogram);
  const counts = new Map(boundsNs.map((boundNs) => [boundNs, upTo[bucketBelow(boundNs)]!]));
  if (exact !== undefined) counts.set(exact.boundNs, exact.count);
  const buckets = [...counts].sort(([a], [b]) => a - b);
  const bucket = (le: string, value: number): Sample => ({ suffix: '_bucket', labels: { ...labels, le }, value });
  return [
    ...buckets.map(([boundNs, count]) => bucket(String(boundNs / NS_PER_S), count)),
    bucket('+Inf', histogram.count),
    { suffix: '_sum', labels, value: histogram.sumNs / NS_PER_S },
    { suffix: '_count', labels, value: histogram.count },
  ];
}

/** How many of the histogram's times surely are, and how many can be, at most `ns`. */
export function countBounds(histogram: Histogram, ns: number): { readonly least: number; readonly most: number } {
  const straddling = bucketOf(ns);
  const { counts } = histogram;
  let least = 0;
  for (let bucket = 0; bucket < straddling; bucket++) least += counts[bucket]!;
  return { least, most: least + counts[straddling]! };
}

/** The bucket that ends at the bound. */
function bucketBelow(boundNs: number): number {
  const bucket = bucketOf(boundNs) - 1;
  if (bucketHighNs(bucket) !== boundNs) throw new RangeError(`${boundNs} ns is not a bound of the sensor's buckets`);
  return bucket;
}

function cumulated({ counts }: Histogram): Float64Array {
  const upTo = new Float64Array(BUCKETS);
  let sum = 0;
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    sum += counts[bucket]!;
    upTo[bucket] = sum;
  }
  return upTo;
}
