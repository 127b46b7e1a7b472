import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';

test('systemClock never runs backwards and knows the wall time', () => {
  const before = systemClock.monotonicNs();
  expect(systemClock.monotonicNs()).toBeGreaterThanOrEqual(before);
  expect(systemClock.wallMs()).toBeGreaterThan(Date.UTC(2020));
});
