import { describe, expect, it } from 'vitest';
import { type Arrivals, NOBODY, createArrivalSource } from '../../src/plant/arrivals.ts';
import type { LoadTrace } from '../../src/plant/load-trace.ts';

function times(arrivals: Arrivals, count: number, trace?: LoadTrace): number[] {
  const source = createArrivalSource(arrivals, trace, 1, 'x');
  return Array.from({ length: count }, () => {
    const atNs = source.nextNs;
    if (atNs < Infinity) expect(source.take()).toBe(NOBODY);
    return atNs;
  });
}

const stepsTrace = (steps: readonly (readonly [number, number])[], repeat = false): LoadTrace => ({
  kind: 'steps',
  name: 'x',
  steps: steps.map(([untilNs, multiplier]) => ({ untilNs, multiplier })),
  repeat,
});

describe('createArrivalSource()', () => {
  it('spaces regular arrivals evenly, and by the trace exactly, through the middle of a gap', () => {
    expect(times({ kind: 'regular', ratePerS: 1e8 }, 3)).toEqual([10, 20, 30]);
    // Twice the load from 15 ns on: the second half of the second gap takes half as long.
    expect(
      times(
        { kind: 'regular', ratePerS: 1e8 },
        4,
        stepsTrace([
          [15, 1],
          [100, 2],
        ]),
      ),
    ).toEqual([10, 17.5, 22.5, 27.5]);
  });

  it('sends nothing while the load is 0, for ever where it stays 0', () => {
    const paused = stepsTrace([
      [15, 1],
      [100, 0],
      [200, 1],
    ]);
    expect(times({ kind: 'regular', ratePerS: 1e8 }, 3, paused)).toEqual([10, 105, 115]);
    expect(
      times(
        { kind: 'regular', ratePerS: 1e8 },
        3,
        stepsTrace([
          [15, 1],
          [100, 0],
        ]),
      ),
    ).toEqual([10, Infinity, Infinity]);
  });

  it('replays recorded times to the nanosecond, equal ones too, and then falls silent', () => {
    const arrivalsNs = [0, 5, 5, 1_000_000_007];
    expect(times({ kind: 'replay', arrivalsNs }, 5)).toEqual([...arrivalsNs, Infinity]);
    expect(times({ kind: 'replay', arrivalsNs: [] }, 1, stepsTrace([[10, 1]], true))).toEqual([Infinity]);
  });

  it('lets each client of a closed loop think, ask, and wait for its reply', () => {
    const source = createArrivalSource(
      { kind: 'closed', clients: 2, thinkTime: { kind: 'deterministic', meanNs: 100 } },
      undefined,
      1,
      'x',
    );
    expect(source.nextNs).toBe(100);
    expect([source.take(), source.take()].sort()).toEqual([0, 1]);
    expect(source.nextNs).toBe(Infinity);
    source.replied(1, 130);
    expect(source.nextNs).toBe(230);
    expect(source.take()).toBe(1);
  });

  it('lets clients think faster when the load is higher, and not at all while it is 0', () => {
    const source = createArrivalSource(
      { kind: 'closed', clients: 1, thinkTime: { kind: 'deterministic', meanNs: 100 } },
      stepsTrace([
        [40, 2],
        [1000, 0],
        [2000, 1],
      ]),
      1,
      'x',
    );
    expect(source.nextNs).toBe(50);
    source.take();
    source.replied(0, 60);
    expect(source.nextNs).toBe(1100);
  });
});
