import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Histogram } from '../../src/core/histogram.ts';
import { countBounds, histogramSamples, octaveBoundsNs } from '../../src/telemetry/metrics-histogram.ts';

const BOUNDS_NS = octaveBoundsNs(16_384, 17_179_869_184, 2);
const times = fc.array(fc.integer({ min: 0, max: 40_000_000_000 }), { maxLength: 200 });

const bucketsOf = (histogram: Histogram, exact?: { boundNs: number; count: number }) =>
  histogramSamples({ service: 'web' }, histogram, BOUNDS_NS, exact)
    .filter(({ suffix }) => suffix === '_bucket')
    .map(({ labels, value }): [string, number] => [labels!['le']!, value]);

describe('octaveBoundsNs()', () => {
  it('goes up by octaves, or by half ones, from end to end', () => {
    expect(octaveBoundsNs(16_384, 65_536, 1)).toEqual([16_384, 32_768, 65_536]);
    expect(octaveBoundsNs(16_384, 65_536, 2)).toEqual([16_384, 24_576, 32_768, 49_152, 65_536]);
    expect(BOUNDS_NS).toHaveLength(41);
  });
});

describe('histogramSamples()', () => {
  it('counts exactly the times below each bound, in seconds', () => {
    fc.assert(
      fc.property(times, (ns) => {
        const buckets = bucketsOf(Histogram.of(ns));
        for (const [le, count] of buckets.slice(0, -1)) {
          expect(count).toBe(ns.filter((each) => each < Number(le) * 1e9).length);
        }
        expect(buckets.at(-1)).toEqual(['+Inf', ns.length]);
      }),
    );
  });

  it('ends with the exact sum and count', () => {
    const samples = histogramSamples({}, Histogram.of([1_000_000, 2_500_000]), BOUNDS_NS);
    expect(samples.slice(-2)).toEqual([
      { suffix: '_sum', labels: {}, value: 0.0035 },
      { suffix: '_count', labels: {}, value: 2 },
    ]);
  });

  it('puts a bound of its own, with its own count, where it belongs', () => {
    const buckets = bucketsOf(Histogram.of([1_000_000, 5_000_000, 7_000_000]), { boundNs: 5_000_000, count: 2 });
    const bounds = buckets.slice(0, -1).map(([le]) => Number(le));
    expect(bounds).toEqual([...bounds].sort((a, b) => a - b));
    expect(buckets.find(([le]) => le === '0.005')).toEqual(['0.005', 2]);
    expect(buckets).toHaveLength(BOUNDS_NS.length + 2);
  });

  it('has one bucket where that bound is one of the others', () => {
    expect(bucketsOf(Histogram.of([1]), { boundNs: 16_384, count: 1 })).toHaveLength(BOUNDS_NS.length + 1);
  });

  it('refuses a bound that would cut a bucket', () => {
    expect(() => histogramSamples({}, new Histogram(), [5_000_000])).toThrow(RangeError);
  });
});

describe('countBounds()', () => {
  it('encloses the true count', () => {
    fc.assert(
      fc.property(times, fc.integer({ min: 1_000, max: 600_000_000 }), (ns, boundNs) => {
        const { least, most } = countBounds(Histogram.of(ns), boundNs);
        const exact = ns.filter((each) => each <= boundNs).length;
        expect(least).toBeLessThanOrEqual(exact);
        expect(most).toBeGreaterThanOrEqual(exact);
      }),
    );
  });
});
