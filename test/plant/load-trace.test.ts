import { describe, expect, it } from 'vitest';
import { createArrivalSource } from '../../src/plant/arrivals.ts';
import { type LoadTrace, TraceCursor, loadTraces, traceProblemOf } from '../../src/plant/load-trace.ts';
import { Random } from '../../src/plant/random.ts';

const S = 1e9;
const cursor = (trace: LoadTrace) => new TraceCursor(trace, new Random(1, 'trace'));

function pieces(trace: LoadTrace, count: number): (readonly [number, number])[] {
  const walk = cursor(trace);
  return Array.from({ length: count }, () => {
    const piece = [walk.multiplier, walk.untilNs] as const;
    if (walk.untilNs < Infinity) walk.advance();
    return piece;
  });
}

describe('TraceCursor', () => {
  const steps = [
    { untilNs: 10, multiplier: 0.5 },
    { untilNs: 30, multiplier: 2 },
  ];

  it('holds on to the last step when the trace does not repeat', () => {
    expect(pieces({ kind: 'steps', name: 'x', steps, repeat: false }, 3)).toEqual([
      [0.5, 10],
      [2, Infinity],
      [2, Infinity],
    ]);
  });

  it('begins again where the last step ended when it does', () => {
    expect(pieces({ kind: 'steps', name: 'x', steps, repeat: true }, 4)).toEqual([
      [0.5, 10],
      [2, 30],
      [0.5, 40],
      [2, 60],
    ]);
  });

  it('stays in each Markov state for its mean time, and never jumps to the same one', () => {
    const states = [
      { multiplier: 1, meanDwellNs: 100 },
      { multiplier: 2, meanDwellNs: 300 },
      { multiplier: 3, meanDwellNs: 50 },
    ];
    const walk = cursor({ kind: 'markov', name: 'x', states });
    const dwellNs = [0, 0, 0];
    const visits = [0, 0, 0];
    for (let i = 0, fromNs = 0; i < 30_000; i++) {
      const before = walk.multiplier;
      dwellNs[before - 1]! += walk.untilNs - fromNs;
      visits[before - 1]!++;
      fromNs = walk.untilNs;
      walk.advance();
      expect(walk.multiplier).not.toBe(before);
    }
    states.forEach(({ meanDwellNs }, i) => expect(dwellNs[i]! / visits[i]! / meanDwellNs).toBeCloseTo(1, 1));
  });
});

describe('loadTraces', () => {
  it.each(Object.keys(loadTraces))('%s is sound and brings the arrivals that its curve promises', (name) => {
    const durationNs = 1000 * S;
    const trace = loadTraces[name]!(durationNs);
    expect(traceProblemOf(trace)).toBeUndefined();
    if (trace.kind === 'markov') return;
    let expected = 0;
    let fromNs = 0;
    for (const { untilNs, multiplier } of trace.steps) {
      expect(multiplier).toBeGreaterThan(0);
      expect(multiplier).toBeLessThanOrEqual(1);
      expected += ((Math.min(untilNs, durationNs) - fromNs) / S) * multiplier * 100;
      fromNs = untilNs;
    }
    const source = createArrivalSource({ kind: 'poisson', ratePerS: 100 }, trace, 1, 'x');
    let seen = 0;
    while (source.nextNs <= durationNs) {
      source.take();
      seen++;
    }
    expect(Math.abs(seen - expected)).toBeLessThan(4 * Math.sqrt(expected));
  });

  it.each<[string, LoadTrace]>([
    ['it is empty', { kind: 'steps', name: 'x', steps: [], repeat: false }],
    ['it never lets', { kind: 'steps', name: 'x', steps: [{ untilNs: 1, multiplier: 0 }], repeat: true }],
    ['a multiplier is negative', { kind: 'steps', name: 'x', steps: [{ untilNs: 1, multiplier: -1 }], repeat: true }],
    ['its times do not ascend', { kind: 'steps', name: 'x', steps: [{ untilNs: 0, multiplier: 1 }], repeat: true }],
    ['a state has no mean dwell', { kind: 'markov', name: 'x', states: [{ multiplier: 1, meanDwellNs: 0 }] }],
  ])('refuses a trace because %s', (problem, trace) => {
    expect(traceProblemOf(trace)).toContain(problem);
    expect(() => createArrivalSource({ kind: 'poisson', ratePerS: 1 }, trace, 1, 'x')).toThrow(RangeError);
  });
});
