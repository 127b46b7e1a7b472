import { expect, it } from 'vitest';
import { quantileBoundNs } from '../../src/controller/quantile-bound.ts';
import { Histogram } from '../../src/core/histogram.ts';

it('quantileBoundNs() of a p99 needs 299 samples at 95 %', () => {
  expect(quantileBoundNs(new Histogram(), 0.99)).toBeNull();
  expect(quantileBoundNs(Histogram.of(Array.from({ length: 298 }, () => 1_000)), 0.99)).toBeNull();
  expect(quantileBoundNs(Histogram.of(Array.from({ length: 299 }, () => 1_000)), 0.99)).toBeGreaterThanOrEqual(1_000);
});

it('quantileBoundNs() lies above the quantile, and comes near it with more samples', () => {
  const times = (count: number) =>
    Histogram.of(Array.from({ length: count }, (_, index) => ((index + 1) * 1e6) / count));
  const [few, many] = [times(400), times(100_000)];
  expect(quantileBoundNs(few, 0.9)!).toBeGreaterThan(quantileBoundNs(many, 0.9)!);
  expect(quantileBoundNs(many, 0.9)!).toBeGreaterThanOrEqual(many.quantileNs(0.9));
  expect(quantileBoundNs(many, 0.9)!).toBeLessThan(1.05 * many.quantileNs(0.9));
});
