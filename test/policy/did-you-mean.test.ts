import { expect, it } from 'vitest';
import { didYouMean } from '../../src/policy/did-you-mean.ts';

it('didYouMean() proposes the nearest word when it is near', () => {
  expect(didYouMean('setpiont', ['kp', 'setpoint', 'safeLevel'])).toBe(', did you mean "setpoint"?');
  expect(didYouMean('SLEWUP', ['slewUp', 'slewDown'])).toBe(', did you mean "slewUp"?');
  expect(didYouMean('kq', ['kp', 'ki'])).toBe(', did you mean "kp"?');
});

it('didYouMean() proposes nothing far-fetched', () => {
  expect(didYouMean('cores', ['name', 'target', 'slo', 'policy'])).toBe('');
  expect(didYouMean('x'.repeat(10_000), ['kp'])).toBe('');
  expect(didYouMean('anything', [])).toBe('');
});
