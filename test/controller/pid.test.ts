import { describe, expect, it } from 'vitest';
import { pid, pidLaw, type PidState } from '../../src/controller/pid.ts';
import type { ControllerInput } from '../../src/core/controller.ts';
import { NS_PER_MS } from '../../src/core/units.ts';
import { input } from './observation.ts';
import { runBench, summarize } from './queue-bench.ts';
import { SLO } from './observation.ts';

const law = pidLaw({
  setpoint: 0.8,
  budget: 0.7,
  kp: 0.2,
  ki: 0.3,
  kd: 0.2,
  deadband: 0.06,
  slewUp: 5,
  slewDown: 0.15,
  confidence: 0.9,
  utilizationCeiling: 0.9,
  idleAfter: 1000,
  silenceAfter: 1000,
  safeLevel: 1,
});

/** Steps the law many times on inputs that do not change, with the machine doing as `applies` says. */
function stepMany(
  times: number,
  from: number,
  applies: (asked: number) => number,
  given: (applied: number) => ControllerInput,
) {
  let state: PidState = law.initial(from);
  let applied = applies(from);
  for (let i = 0; i < times; i++) {
    const output = law.step(given(applied), state);
    state = output.state;
    applied = applies(output.level);
  }
  return { state, applied };
}

describe('pidLaw()', () => {
  it('takes over without a bump: on target it stays where the machine is', () => {
    for (const level of [0.25, 0.5, 0.9]) {
      const output = law.step(input({ quantileNs: 16 * NS_PER_MS }, { appliedLevel: level }), law.initial(level));
      expect(output.level).toBe(level);
    }
  });

  it('raises the level over the target and lowers it under the target', () => {
    const over = law.step(input({ quantileNs: 30 * NS_PER_MS, overSlo: 9 }), law.initial(0.5));
    expect(over.level).toBeGreaterThan(0.5);
    expect(over.reason).toBe('p99 30.0 ms over the target 16.0 ms: up to 54 %');
    const under = stepMany(
      20,
      0.5,
      (asked) => asked,
      (appliedLevel) => input({ quantileNs: 4 * NS_PER_MS }, { appliedLevel }),
    );
    expect(under.applied).toBeLessThan(0.45);
  });

  it('does not lower the level when the counts leave the SLO in doubt', () => {
    const doubt = (appliedLevel: number) => input({ quantileNs: 10 * NS_PER_MS, requests: 12 }, { appliedLevel });
    expect(stepMany(50, 0.5, (asked) => asked, doubt).applied).toBe(0.5);
  });

  it('freezes its integral when the actuator clamps from above', () => {
    const capped = (asked: number) => Math.min(asked, 0.5);
    const hot = (appliedLevel: number) => input({ quantileNs: 40 * NS_PER_MS, overSlo: 20 }, { appliedLevel });
    const short = stepMany(300, 0.5, capped, hot).state.integral;
    const long = stepMany(3000, 0.5, capped, hot).state.integral;
    expect(long - short).toBeLessThan(0.001);
  });

  it('freezes its integral when the machine gives more than it asks for', () => {
    const shared = (asked: number) => Math.max(asked, 0.9);
    const cold = (appliedLevel: number) => input({ quantileNs: 8 * NS_PER_MS }, { appliedLevel });
    const { state } = stepMany(1000, 0.9, shared, cold);
    // One correction below what is applied, and no further.
    expect(Math.exp(state.integral)).toBeGreaterThan(0.9 * 0.6);
  });

  it('starts from what is applied when that is more than it asked for and does not meet the SLO', () => {
    const low = law.initial(0.3);
    const output = law.step(input({ quantileNs: 25 * NS_PER_MS, overSlo: 6 }, { appliedLevel: 0.5 }), low);
    expect(output.level).toBeGreaterThanOrEqual(0.5);
  });

  it('rises fast and falls slowly', () => {
    const up = law.step(input({ quantileNs: 500 * NS_PER_MS, overSlo: 200 }), law.initial(0.5));
    const down = law.step(input({ quantileNs: 1 * NS_PER_MS }, { appliedLevel: 0.5 }), law.initial(0.5));
    expect(up.level - 0.5).toBeGreaterThan(0.2);
    expect(0.5 - down.level).toBeLessThanOrEqual(0.15 * 0.1 + 1e-12);
  });

  it('holds when nothing completed', () => {
    const output = law.step(input({ quantileNs: null, requests: 0 }), law.initial(0.7));
    expect(output.level).toBe(0.7);
    expect(output.reason).toBe('nothing completed: staying at 70 %');
  });
});

describe('the pid controller on a queue', () => {
  const bench = { controller: pid.create({}), slo: SLO, serviceNs: NS_PER_MS };

  it('meets the SLO well below full speed at low load, and moves little', () => {
    for (const seed of [1, 2]) {
      const ticks = runBench({ ...bench, loadAt: () => 0.15, durationMs: 80_000, seed });
      const steady = summarize(ticks, SLO.quantile, 20_000);
      expect(steady.quantileMs).toBeLessThan(20);
      expect(steady.meanLevel).toBeLessThan(0.6);
      // A limit cycle would move at every tick: ten times a second for a minute.
      expect(steady.changes).toBeLessThan(300);
    }
  });

  it('recovers from a step of the load from 20 % to 80 %', () => {
    const slo = { ...SLO, latencyNs: 40 * NS_PER_MS };
    const loadAt = (atMs: number) => (atMs < 30_000 ? 0.2 : 0.8);
    const ticks = runBench({ ...bench, slo, loadAt, durationMs: 60_000, seed: 4 });
    expect(summarize(ticks, slo.quantile, 20_000, 30_000).meanLevel).toBeLessThan(0.5);
    const raised = ticks.find(({ atMs, appliedLevel }) => atMs > 30_000 && appliedLevel > 0.8);
    expect(raised?.atMs).toBeLessThan(32_000);
    expect(summarize(ticks, slo.quantile, 35_000).quantileMs).toBeLessThan(40);
  });

  it('settles on a ladder of few steps without a limit cycle', () => {
    const ladder = [0.375, 0.5, 0.625, 0.75, 0.875, 1];
    const ticks = runBench({ ...bench, ladder, loadAt: () => 0.15, durationMs: 80_000, seed: 2 });
    const steady = summarize(ticks, SLO.quantile, 20_000);
    expect(steady.changes).toBeLessThan(80);
    expect(steady.quantileMs).toBeLessThan(20);
    expect(steady.meanLevel).toBeLessThan(0.7);
  });

  it('comes back at once when a thermal cap is lifted', () => {
    const capAt = (atMs: number) => (atMs > 20_000 && atMs < 40_000 ? 0.45 : 1);
    const ticks = runBench({ ...bench, capAt, loadAt: () => 0.4, durationMs: 70_000, seed: 3 });
    expect(summarize(ticks, SLO.quantile, 50_000).quantileMs).toBeLessThan(20);
    expect(summarize(ticks, SLO.quantile, 50_000).meanLevel).toBeLessThan(0.95);
  });

  it('goes as near to saturation as a far objective allows, and no nearer', () => {
    const slo = { ...SLO, latencyNs: 500 * NS_PER_MS };
    const ticks = runBench({ ...bench, slo, loadAt: () => 0.4, durationMs: 60_000, seed: 5 });
    const steady = summarize(ticks, slo.quantile, 20_000);
    expect(steady.meanLevel).toBeGreaterThan(0.4);
    expect(steady.meanLevel).toBeLessThan(0.6);
  });

  it('says so when the highest level does not meet the SLO', () => {
    const ticks = runBench({ ...bench, serviceNs: 10 * NS_PER_MS, loadAt: () => 0.3, durationMs: 20_000 });
    expect(ticks.at(-1)?.appliedLevel).toBe(1);
    expect(ticks.at(-1)?.reason).toContain('over the SLO at the highest level allowed');
  });
});
