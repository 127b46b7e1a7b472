import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUCKETS } from '../../src/core/histogram.ts';
import { type Counter, HISTOGRAMS, STRIPE } from '../../src/sensor/layout.ts';
import { WindowReader } from '../../src/sensor/window-reader.ts';

/** Plays the kernel: adds to a stripe as the probes do. */
class Stripes {
  readonly stripes: readonly Uint32Array[];
  readonly reader: WindowReader;

  constructor(count = 1) {
    this.stripes = Array.from({ length: count }, () => new Uint32Array(STRIPE.words));
    this.reader = new WindowReader(this.stripes);
  }

  count(bucket: number, times: number, stripe = 0, histogram = 0): void {
    const at = STRIPE.histogram(histogram) + bucket;
    this.stripes[stripe]![at] = this.stripes[stripe]![at]! + times;
    // No probe counts without moving a sum; this one belongs to none of these tests.
    this.add('firstResponseNs', 1n, stripe);
  }

  add(counter: Counter, value: bigint, stripe = 0): void {
    const words = this.stripes[stripe]!;
    const longs = new BigUint64Array(words.buffer, words.byteOffset, STRIPE.words / 2);
    const at = STRIPE.counter(counter) / 2;
    longs[at] = longs[at]! + value;
  }
}

describe('WindowReader', () => {
  it('tells what was counted since the read before, over all stripes', () => {
    const kernel = new Stripes(4);
    kernel.add('arrivals', 5n, 0);
    kernel.add('arrivals', 4n, 3);
    kernel.count(40, 4, 1, HISTOGRAMS.indexOf('socketWait'));
    kernel.count(41, 2, 2, HISTOGRAMS.indexOf('socketWait'));
    kernel.add('abandoned', 1n, 2);
    kernel.add('overSlo', 2n);
    kernel.add('unsolicited', 3n);
    kernel.add('dropped', 4n);
    expect(kernel.reader.read()).toMatchObject({
      arrivals: 9,
      requests: 6,
      abandoned: 1,
      overSlo: 2,
      unsolicited: 3,
      dropped: 4,
      inFlight: 2,
    });
    expect(kernel.reader.read()).toMatchObject({ arrivals: 0, requests: 0, abandoned: 0, inFlight: 2 });
  });

  it('counts arrivals that were noticed late among the others, and takes out those that were none', () => {
    const kernel = new Stripes(2);
    kernel.add('arrivals', 5n, 1);
    kernel.add('lateArrivals', 3n);
    kernel.add('withdrawn', 2n);
    expect(kernel.reader.read()).toMatchObject({ arrivals: 6, inFlight: 6 });
  });

  it('keeps histograms and their exact sums apart', () => {
    const kernel = new Stripes();
    HISTOGRAMS.forEach((_, histogram) => kernel.count(100 + histogram, 7, 0, histogram));
    kernel.add('socketWaitNs', 1_001n);
    kernel.add('handlingTimeNs', 70_000n);
    const { latency, socketWait, handlingTime } = kernel.reader.read();
    expect([latency, socketWait, handlingTime].map(({ counts }) => counts.indexOf(7))).toEqual([100, 101, 102]);
    expect([latency, socketWait, handlingTime].map(({ sumNs }) => sumNs)).toEqual([71_001, 1_001, 70_000]);
  });

  it('counts on exactly where words of 32 bits wrap', () => {
    const kernel = new Stripes(2);
    for (const stripe of [0, 1]) {
      kernel.count(3, 2 ** 31 - 1, stripe);
      kernel.add('handlingTimeNs', 2n ** 62n - 3n, stripe);
      kernel.count(9, 2 ** 31 - 1, stripe, HISTOGRAMS.indexOf('socketWait'));
      kernel.reader.read();
    }
    kernel.count(3, 11, 1);
    kernel.add('handlingTimeNs', 5n, 1);
    kernel.count(9, 2, 0, HISTOGRAMS.indexOf('socketWait'));
    kernel.count(5, 3, 1, HISTOGRAMS.indexOf('socketWait'));
    const window = kernel.reader.read();
    expect(window.latency.counts[3]).toBe(11);
    expect(window.handlingTime.sumNs).toBe(5);
    expect(window.requests).toBe(5);
  });

  it('finds what showed only after its sum had moved, at the next read', () => {
    const kernel = new Stripes(2);
    kernel.reader.read();
    kernel.reader.read();
    kernel.add('socketWaitNs', 5n, 1);
    expect(kernel.reader.read()).toMatchObject({ requests: 0 });
    kernel.stripes[1]![STRIPE.histogram(HISTOGRAMS.indexOf('socketWait')) + 7] = 3;
    expect(kernel.reader.read()).toMatchObject({ requests: 3 });
    expect(kernel.reader.read()).toMatchObject({ requests: 0 });
  });

  it('goes on telling what is in flight while nothing is counted', () => {
    const kernel = new Stripes();
    kernel.add('arrivals', 2n);
    expect([1, 2, 3].map(() => kernel.reader.read().inFlight)).toEqual([2, 2, 2]);
    kernel.add('abandoned', 1n);
    expect([1, 2, 3].map(() => kernel.reader.read().inFlight)).toEqual([1, 1, 1]);
  });

  it('lets a bucket that turns have left owe them, until as many have come again', () => {
    const kernel = new Stripes();
    kernel.count(10, 4);
    kernel.reader.read();
    kernel.count(10, -3);
    kernel.count(20, 3);
    const moved = kernel.reader.read().latency;
    expect([moved.counts[10], moved.counts[20]]).toEqual([0, 3]);
    kernel.count(10, 2);
    expect(kernel.reader.read().latency.counts[10]).toBe(0);
    kernel.count(10, 2);
    expect(kernel.reader.read().latency.counts[10]).toBe(1);
  });

  it('never tells less than before, and tells of each bucket the most that it ever held at a read', () => {
    const completion = fc.record({
      kind: fc.constant('complete' as const),
      bucket: bucketNumber,
      stripe: stripeNumber,
    });
    const move = fc.record({
      kind: fc.constant('move' as const),
      up: fc.integer({ min: 1, max: 9 }),
      stripe: stripeNumber,
    });
    const read = fc.record({ kind: fc.constant('read' as const) });
    fc.assert(
      fc.property(fc.array(fc.oneof(completion, move, read), { maxLength: 200 }), (events) => {
        const kernel = new Stripes(STRIPE_COUNT);
        const turns: number[] = [];
        const told = new Float64Array(BUCKETS);
        const held = new Float64Array(BUCKETS);
        const mostHeld = new Float64Array(BUCKETS);
        const readNow = () => {
          const { counts } = kernel.reader.read().latency;
          counts.forEach((count, bucket) => {
            told[bucket] = told[bucket]! + count;
            mostHeld[bucket] = Math.max(mostHeld[bucket]!, held[bucket]!);
          });
          expect(Math.min(...counts)).toBe(0);
          expect(told).toEqual(mostHeld);
        };
        const change = (bucket: number, times: number, stripe: number) => {
          kernel.count(bucket, times, stripe);
          held[bucket] = held[bucket]! + times;
        };
        for (const event of events) {
          if (event.kind === 'read') readNow();
          else if (event.kind === 'complete') {
            turns.push(event.bucket);
            change(event.bucket, 1, event.stripe);
          } else if (turns.length > 0) {
            // The extension of a turn may be counted on another CPU than its completion was.
            const from = turns.pop()!;
            turns.push(from + event.up);
            change(from + event.up, 1, event.stripe);
            change(from, -1, event.stripe);
          }
        }
        readNow();
      }),
      { numRuns: 60 },
    );
  });
});

const STRIPE_COUNT = 3;
const bucketNumber = fc.integer({ min: 0, max: 40 });
const stripeNumber = fc.integer({ min: 0, max: STRIPE_COUNT - 1 });
