import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Punctuality } from '../../src/loop/punctuality.ts';

/** The pace after each tick. */
function paces(missed: readonly number[]) {
  const punctuality = new Punctuality();
  return missed.map((count) => punctuality.tick(count));
}
const times = (count: number, missed: number) => Array.from({ length: count }, () => missed);

describe('Punctuality', () => {
  it('takes a single gap for a hiccup, however long: a machine may have been suspended', () => {
    expect(new Set(paces([0, 0, 288_000, 0, 0]))).toEqual(new Set(['punctual']));
  });

  it('is hurried after two gaps in a row, overrun after five, and not before', () => {
    expect(paces(times(6, 1))).toEqual(['punctual', 'hurried', 'hurried', 'hurried', 'overrun', 'overrun']);
  });

  it('keeps time again after fifty punctual ticks in a row, and not by steps', () => {
    for (const [gaps, pace] of [
      [2, 'hurried'],
      [5, 'overrun'],
    ] as const) {
      expect(paces([...times(gaps, 9), ...times(50, 0)]).slice(gaps)).toEqual([
        ...times(49, 0).map(() => pace),
        'punctual',
      ]);
      expect(paces([...times(gaps, 9), ...times(49, 0), 1, ...times(49, 0)]).slice(gaps - 1)).not.toContain('punctual');
    }
  });

  it('is never overrun where fewer than one tick in three comes late, and always where all do', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 20 }), fc.integer({ min: 1, max: 200 }), (between, rounds) => {
        const seen = paces(times(rounds, 1).flatMap((gap) => [gap, ...times(between, 0)]));
        expect(seen).not.toContain('overrun');
        expect(paces(times(rounds + 4, 3)).at(-1)).toBe('overrun');
      }),
    );
  });
});
