import { describe, expect, it } from 'vitest';
import { trendOf } from './trend.ts';
import { random } from './tries.ts';

const readings = (at: (index: number) => number) => Array.from({ length: 400 }, (_, index) => at(index));

describe('trendOf()', () => {
  it('tells growth from what only goes up and down', () => {
    const dice = random(5);
    const saw = (index: number) => (index % 20) * 50 + dice() * 30;
    const level = trendOf(readings((index) => 100_000 + saw(index)));
    expect(Math.abs(level.grown)).toBeLessThanOrEqual(Math.max(50, level.plusMinus));
    const rising = trendOf(readings((index) => 100_000 + saw(index) + index * 10));
    expect(rising.grown - rising.plusMinus).toBeGreaterThan(3_000);
    expect(rising.grown).toBeCloseTo(4_000, -3);
  });

  it('asks for two readings a block', () => {
    expect(() => trendOf([1, 2, 3])).toThrow(RangeError);
  });
});
