import { expect, test } from 'vitest';
import { toleratedRatio } from '../../src/core/slo.ts';

test('toleratedRatio() is what the quantile leaves', () => {
  expect(toleratedRatio({ quantile: 0.99, latencyNs: 5_000_000, windowMs: 60_000 })).toBeCloseTo(0.01, 12);
});
