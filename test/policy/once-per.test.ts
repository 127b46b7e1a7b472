import { expect, it } from 'vitest';
import { oncePer } from '../../src/policy/once-per.ts';

it('oncePer() computes once a key, and absence is a value, too', () => {
  let computed = 0;
  const count = oncePer((key: { answer: number | undefined }) => {
    computed++;
    return key.answer;
  });
  const [one, other] = [{ answer: 1 }, { answer: undefined }];
  expect([count(one), count(other), count(one), count(other)]).toEqual([1, undefined, 1, undefined]);
  expect(computed).toBe(2);
});
