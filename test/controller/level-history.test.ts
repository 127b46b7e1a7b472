import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LevelHistory, meanLevel, remember } from '../../src/controller/level-history.ts';

describe('remember()', () => {
  it('joins equal neighbours and forgets what is out of reach', () => {
    let history: LevelHistory = [];
    for (const level of [1, 1, 0.5, 0.5]) history = remember(history, level, 100, 300);
    expect(history).toEqual([
      { level: 1, forMs: 200 },
      { level: 0.5, forMs: 200 },
    ]);
    expect(remember(history, 0.5, 100, 300)).toEqual([{ level: 0.5, forMs: 300 }]);
  });

  it('stays small, and reaches far enough, whatever the levels do', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 300 }), (levels) => {
        let history: LevelHistory = [];
        for (const level of levels) history = remember(history, level, 100, 20_000);
        expect(history.length).toBeLessThanOrEqual(64);
        const reach = history.reduce((sum, { forMs }) => sum + forMs, 0);
        expect(reach).toBeGreaterThanOrEqual(Math.min(20_000, levels.length * 100));
        const mean = meanLevel(history, 1);
        expect(mean).toBeGreaterThan(0);
        expect(mean).toBeLessThanOrEqual(1 + 1e-12);
      }),
    );
  });
});

describe('meanLevel()', () => {
  it('is the level that makes requests as slow as they were', () => {
    const history = [
      { level: 1, forMs: 100 },
      { level: 0.5, forMs: 100 },
    ];
    expect(meanLevel(history, 0.7)).toBeCloseTo(2 / 3, 12);
    expect(meanLevel([], 0.7)).toBe(0.7);
  });
});
