import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bucketHighNs, bucketLowNs, bucketOf, BUCKETS, Histogram } from '../../src/core/histogram.ts';

/** Spread evenly over the octaves, where a plain integer would nearly always be huge. */
const timeNs = fc
  .tuple(fc.integer({ min: 0, max: 38 }), fc.double({ min: 1, max: 2, noNaN: true }))
  .map(([octave, factor]) => Math.floor(2 ** octave * factor) - 1);
const timesNs = fc.array(timeNs, { minLength: 1, maxLength: 300 });

const widthNs = (ns: number) => bucketHighNs(bucketOf(ns)) - bucketLowNs(bucketOf(ns));
/** The smallest recorded time that a share `quantile` of them does not exceed. */
const exactQuantile = (times: readonly number[], quantile: number) =>
  times.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(quantile * times.length) - 1)]!;

/** All that a histogram holds, private sums included. */
const contents = ({ counts, count, sumNs }: Histogram) => ({
  count,
  sumNs,
  counts: [...counts.entries()].filter(([, times]) => times !== 0),
});

describe('bucketOf()', () => {
  test('puts a time between the bounds of its bucket', () => {
    fc.assert(
      fc.property(timeNs, (ns) => {
        expect(bucketLowNs(bucketOf(ns))).toBeLessThanOrEqual(ns);
        expect(bucketHighNs(bucketOf(ns))).toBeGreaterThan(ns);
      }),
    );
  });

  test('knows the bounds of every bucket', () => {
    for (let i = 0; i < BUCKETS; i++) {
      expect(bucketOf(bucketLowNs(i))).toBe(i);
      expect(bucketOf(bucketHighNs(i) - 1)).toBe(i);
    }
  });

  test('never falls as the time grows', () => {
    fc.assert(
      fc.property(timeNs, timeNs, (a, b) => {
        expect(bucketOf(Math.min(a, b))).toBeLessThanOrEqual(bucketOf(Math.max(a, b)));
      }),
    );
  });

  test('takes what is beyond the range into the last bucket, and what is negative into the first', () => {
    expect(bucketOf(bucketHighNs(BUCKETS - 1))).toBe(BUCKETS - 1);
    expect(bucketOf(Number.MAX_SAFE_INTEGER)).toBe(BUCKETS - 1);
    expect(bucketOf(-1)).toBe(0);
  });
});

describe('bucket bounds', () => {
  test('are at most 1/32 apart from 256 ns up, and 8 ns below', () => {
    for (let i = 0; i < BUCKETS; i++) {
      const width = bucketHighNs(i) - bucketLowNs(i);
      expect(width).toBeLessThanOrEqual(Math.max(8, bucketLowNs(i) / 32));
    }
  });

  test('reach beyond a minute', () => {
    expect(bucketHighNs(BUCKETS - 1)).toBeGreaterThan(60e9);
  });
});

describe('Histogram', () => {
  test('is zero all over when empty', () => {
    const empty = new Histogram();
    expect(empty).toMatchObject({ count: 0, sumNs: 0, meanNs: 0, maxNs: 0 });
    expect(empty.quantileNs(0.99)).toBe(0);
    expect(empty.countAbove(0)).toBe(0);
  });

  test('counts and sums exactly', () => {
    fc.assert(
      fc.property(timesNs, (times) => {
        const histogram = Histogram.of(times);
        expect(histogram.count).toBe(times.length);
        expect(histogram.sumNs).toBe(times.reduce((sum, ns) => sum + ns, 0));
      }),
    );
  });

  test('quantileNs() is at most a bucket away from the exact quantile', () => {
    fc.assert(
      fc.property(timesNs, fc.double({ min: 0, max: 1, noNaN: true }), (times, quantile) => {
        const exact = exactQuantile(times, quantile);
        expect(Math.abs(Histogram.of(times).quantileNs(quantile) - exact)).toBeLessThanOrEqual(widthNs(exact));
      }),
    );
  });

  test('quantileNs() never falls as the quantile grows, and ends at the maximum', () => {
    fc.assert(
      fc.property(
        timesNs,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (times, a, b) => {
          const histogram = Histogram.of(times);
          expect(histogram.quantileNs(Math.min(a, b))).toBeLessThanOrEqual(histogram.quantileNs(Math.max(a, b)));
          expect(histogram.quantileNs(1)).toBe(histogram.maxNs);
        },
      ),
    );
  });

  test('quantileNs() takes a quantile outside 0..1 for the nearest bound', () => {
    const histogram = Histogram.of([1_000, 2_000, 3_000]);
    expect(histogram.quantileNs(-1)).toBe(histogram.quantileNs(0));
    expect(histogram.quantileNs(2)).toBe(histogram.quantileNs(1));
  });

  test('maxNs is the upper bound of the highest bucket in use', () => {
    expect(Histogram.of([100, 5_000]).maxNs).toBe(bucketHighNs(bucketOf(5_000)));
  });

  test('countAbove() never counts too many, and misses only those in the bound’s own bucket', () => {
    fc.assert(
      fc.property(timesNs, timeNs, (times, boundNs) => {
        const above = Histogram.of(times).countAbove(boundNs);
        expect(above).toBeLessThanOrEqual(times.filter((ns) => ns > boundNs).length);
        expect(above).toBe(times.filter((ns) => bucketOf(ns) > bucketOf(boundNs)).length);
      }),
    );
  });

  test('add() makes what recording both would have made, and leaves the other alone', () => {
    fc.assert(
      fc.property(timesNs, timesNs, (mine, others) => {
        const sum = Histogram.of(mine);
        const other = Histogram.of(others);
        sum.add(other);
        expect(contents(sum)).toEqual(contents(Histogram.of([...mine, ...others])));
        expect(contents(other)).toEqual(contents(Histogram.of(others)));
      }),
    );
  });

  test('record() takes several at once, and takes back with a negative number', () => {
    const histogram = new Histogram();
    histogram.record(1_000, 3);
    expect(contents(histogram)).toEqual(contents(Histogram.of([1_000, 1_000, 1_000])));
    histogram.record(1_000, -3);
    expect(contents(histogram)).toEqual(contents(new Histogram()));
  });

  test('clone() is equal and independent', () => {
    const original = Histogram.of([1_000]);
    const copy = original.clone();
    copy.record(2_000);
    expect(contents(original)).toEqual(contents(Histogram.of([1_000])));
    expect(contents(copy)).toEqual(contents(Histogram.of([1_000, 2_000])));
  });

  test('can be made from counts and a sum', () => {
    const histogram = Histogram.of([300, 70_000]);
    expect(contents(new Histogram(histogram.counts.slice(), histogram.sumNs))).toEqual(contents(histogram));
  });
});

describe('Histogram.variability', () => {
  test('is the mean square over the squared mean, as near as buckets are', () => {
    fc.assert(
      fc.property(timesNs, (times) => {
        const long = times.map((ns) => ns + 1000);
        const mean = long.reduce((sum, ns) => sum + ns, 0) / long.length;
        const square = long.reduce((sum, ns) => sum + ns ** 2, 0) / long.length;
        const { variability } = Histogram.of(long);
        expect(variability).toBeGreaterThan((square / mean ** 2) * 0.9);
        expect(variability).toBeLessThan((square / mean ** 2) * 1.1);
      }),
    );
  });

  test('is 1 where nothing varies, and nothing is there', () => {
    expect(Histogram.of([5_000_000, 5_000_000]).variability).toBeCloseTo(1, 9);
    expect(new Histogram().variability).toBe(1);
  });
});

describe('Histogram.subtract()', () => {
  test('takes out what add() put in', () => {
    fc.assert(
      fc.property(timesNs, timesNs, (kept, gone) => {
        const histogram = Histogram.of(kept);
        const other = Histogram.of(gone);
        histogram.add(other);
        histogram.subtract(other);
        expect(contents(histogram)).toEqual(contents(Histogram.of(kept)));
      }),
    );
  });
});

describe('Histogram.quantilesNs()', () => {
  test('finds each quantile as quantileNs() does', () => {
    const quantiles = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 });
    fc.assert(
      fc.property(timesNs, quantiles, (times, wanted) => {
        const histogram = Histogram.of(times);
        const ascending = wanted.toSorted((a, b) => a - b);
        expect(histogram.quantilesNs(ascending)).toEqual(ascending.map((quantile) => histogram.quantileNs(quantile)));
      }),
    );
  });

  test('is all zeros where nothing was recorded', () => {
    expect(new Histogram().quantilesNs([0.5, 0.99])).toEqual([0, 0]);
  });
});

test('a Histogram is what its counts say, however they came to be', () => {
  const step = fc.record({
    by: fc.constantFrom('record', 'add', 'addInUse', 'subtract', 'clone'),
    times: timesNs,
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), timeNs, (steps, boundNs) => {
      let histogram = new Histogram();
      const held: Histogram[] = [];
      for (const { by, times } of steps) {
        const other = Histogram.of(times);
        if (by === 'record') for (const ns of times) histogram.record(ns);
        else if (by === 'addInUse') histogram.addInUse(other.inUse, other.sumNs);
        else if (by === 'clone') histogram = histogram.clone();
        else if (by === 'subtract') held.splice(0, 1).forEach((added) => histogram.subtract(added));
        else {
          histogram.add(other);
          held.push(other);
        }
      }
      const counted = new Histogram(histogram.counts.slice(), histogram.sumNs);
      expect(contents(histogram)).toEqual(contents(counted));
      expect(histogram.inUse).toEqual(contents(counted).counts.flat());
      expect(histogram.maxNs).toBe(counted.maxNs);
      expect(histogram.countAbove(boundNs)).toBe(counted.countAbove(boundNs));
      expect(histogram.variability).toBe(counted.variability);
      expect(histogram.quantilesNs([0, 0.5, 0.99, 1])).toEqual(counted.quantilesNs([0, 0.5, 0.99, 1]));
    }),
  );
});
