import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { durationMs, durationNs, frequencyKhz, quantile } from '../../src/core/quantity-schema.ts';

describe('quantity schemas', () => {
  test('turn text with a unit into the number that their name says', () => {
    expect(durationNs().parse('1.5ms')).toBe(1_500_000);
    expect(durationMs().parse('1.5s')).toBe(1_500);
    expect(frequencyKhz().parse('2.4GHz')).toBe(2_400_000);
    expect(quantile().parse('p99.9')).toBe(0.999);
  });

  test.each([
    ['a number without a unit', durationNs(), 5, /^5 given, expected a duration such as 5ms/],
    ['another quantity', durationNs(), '5GHz', /^"5GHz" given, expected a duration/],
    ['nothing', frequencyKhz(), undefined, /expected a frequency/],
    ['what the pattern allows and the parser does not', quantile(), 'p0', /^"p0" given, expected a quantile/],
  ])('say what is wrong with %s, once', (_what, schema, input, message) => {
    const messages = schema.safeParse(input).error?.issues.map((issue) => issue.message);
    expect(messages).toEqual([expect.stringMatching(message)]);
  });

  test('hold what is outside of their range off, and say the range', () => {
    const schema = durationNs({ min: '1ms', max: '1s' });
    expect(schema.parse('1ms')).toBe(1_000_000);
    expect(schema.parse('1s')).toBe(1_000_000_000);
    for (const text of ['999us', '1.001s']) {
      expect(schema.safeParse(text).error?.issues[0]?.message).toMatch(/1ms.*1s/);
    }
  });

  test('show their pattern and examples in a JSON Schema', () => {
    const shown = z.toJSONSchema(durationNs(), { io: 'input' });
    expect(shown).toMatchObject({ type: 'string', examples: ['5ms', '1.5s', '1min'] });
    expect(new RegExp(shown.pattern!).test('5ms')).toBe(true);
    expect(new RegExp(shown.pattern!).test('5 parsecs')).toBe(false);
  });
});
