import { describe, expect, it } from 'vitest';
import { paretoFront } from '../../../src/study/report/pareto-front.ts';

describe('paretoFront()', () => {
  it('keeps what no other undercuts in both, in order', () => {
    const of = (x: number | null, y: number) => ({ x, y });
    const front = paretoFront([of(5, 3), of(8, 2), of(7, 2.5), of(9, 2), of(5, 3.5), of(null, 1)]);
    expect(front).toEqual({ x: [5, 7, 8], y: [3, 2.5, 2] });
    expect(paretoFront([])).toEqual({ x: [], y: [] });
  });
});
