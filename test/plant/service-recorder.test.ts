import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketOf } from '../../src/core/histogram.ts';
import { ServiceRecorder, fastBucketOf } from '../../src/plant/service-recorder.ts';

describe('fastBucketOf()', () => {
  it('is bucketOf() of core, for whole and broken times, over and beyond the whole range', () => {
    const times = fc.oneof(
      fc.double({ min: 0, max: 2 ** 41, noNaN: true }),
      fc.nat(5000),
      fc.tuple(fc.nat(40), fc.integer({ min: -2, max: 2 })).map(([bits, off]) => Math.max(0, 2 ** bits + off)),
    );
    fc.assert(
      fc.property(times, (ns) => {
        expect(fastBucketOf(ns)).toBe(bucketOf(ns));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('ServiceRecorder', () => {
  it('hands out each window once', () => {
    const recorder = new ServiceRecorder(1000);
    recorder.arrived();
    recorder.arrived();
    recorder.completed(600, 500);
    recorder.completed(0, 1000);
    const window = recorder.takeWindow();
    expect(window).toMatchObject({ arrivals: 2, requests: 2, overSlo: 1 });
    expect(window.latency.sumNs).toBe(2100);
    expect(window.socketWait.sumNs).toBe(600);
    expect(window.handlingTime.sumNs).toBe(1500);
    expect(window.latency.count).toBe(2);
    recorder.completed(1, 1);
    expect(window.latency.count).toBe(2);
    expect(recorder.takeWindow()).toMatchObject({ arrivals: 0, requests: 1, overSlo: 0 });
  });
});
