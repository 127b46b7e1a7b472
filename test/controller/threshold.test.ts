import { describe, expect, it } from 'vitest';
import { spendingFrom } from '../../src/controller/spending.ts';
import { threshold, thresholdLaw, type ThresholdState } from '../../src/controller/threshold.ts';
import { NS_PER_MS } from '../../src/core/units.ts';
import { input, SLO } from './observation.ts';
import { runBench, summarize } from './queue-bench.ts';

const law = thresholdLaw({
  farOver: 1.35,
  hold: 5000,
  upStep: 0.25,
  under: 0.85,
  farUnder: 0.6,
  downStep: 0.03,
  bigDownStep: 0.08,
  dwell: 1000,
  confidence: 0.9,
  utilizationCeiling: 0.9,
  idleAfter: 1000,
  silenceAfter: 1000,
  safeLevel: 1,
});
const rested: ThresholdState = { asked: 0.5, holdMs: 0, sinceMoveMs: 60_000, spending: spendingFrom(0) };
const at = (milliseconds: number, state = rested) =>
  law.step(input({ quantileNs: milliseconds * NS_PER_MS }, { appliedLevel: state.asked }), state);

describe('thresholdLaw()', () => {
  it('goes to the maximum far over the SLO and holds it', () => {
    const over = at(28);
    expect(over.level).toBe(1);
    const later = at(2, { ...over.state, sinceMoveMs: 4000, holdMs: 1000 });
    expect(later.level).toBe(1);
    expect(later.reason).toBe('p99 2.00 ms, holding for 0.9 s: staying at 100 %');
  });

  it('goes up in one jump over the SLO, once a window', () => {
    const up = at(22);
    expect(up.level).toBe(0.75);
    expect(at(22, up.state).level).toBe(0.75);
    expect(at(22, { ...up.state, sinceMoveMs: 1000 }).level).toBe(1);
  });

  it('stays between its thresholds', () => {
    expect(at(20).level).toBe(0.5);
    expect(at(17.5).level).toBe(0.5);
  });

  it('goes down by a step under the SLO and by a bigger one far under', () => {
    expect(at(16).level).toBeCloseTo(0.47, 12);
    expect(at(8).level).toBeCloseTo(0.42, 12);
  });

  it('dwells between two steps down', () => {
    const once = at(8);
    expect(at(8, once.state).level).toBe(once.level);
    expect(at(8, { ...once.state, sinceMoveMs: 1000 }).level).toBeLessThan(once.level);
  });

  it('does not go down when the counts leave the SLO in doubt', () => {
    const doubt = input({ quantileNs: 10 * NS_PER_MS, requests: 12 });
    expect(law.step(doubt, rested).level).toBe(0.5);
  });

  it('does not walk away from a machine that gives more than it asks for', () => {
    let state = { ...rested, asked: 0.9 };
    for (let i = 0; i < 500; i++) {
      const given = input({ quantileNs: NS_PER_MS }, { appliedLevel: 0.9, elapsedMs: 2000 });
      state = law.step(given, state).state;
    }
    expect(state.asked).toBeCloseTo(0.45, 12);
  });
});

describe('the threshold controller on a queue', () => {
  const bench = { controller: threshold.create({}), slo: SLO, serviceNs: NS_PER_MS };

  it('meets the SLO below full speed at low load', () => {
    const ticks = runBench({ ...bench, loadAt: () => 0.15, durationMs: 80_000, seed: 2 });
    const steady = summarize(ticks, SLO.quantile, 20_000);
    expect(steady.quantileMs).toBeLessThan(20);
    expect(steady.meanLevel).toBeLessThan(0.75);
    expect(steady.changes).toBeLessThan(100);
  });

  it('recovers from a step of the load from 20 % to 60 %', () => {
    const loadAt = (atMs: number) => (atMs < 30_000 ? 0.2 : 0.6);
    const ticks = runBench({ ...bench, loadAt, durationMs: 60_000, seed: 4 });
    expect(summarize(ticks, SLO.quantile, 35_000).quantileMs).toBeLessThan(20);
  });
});
