import { describe, expect, it } from 'vitest';
import { model } from '../../src/controller/model.ts';
import { pid } from '../../src/controller/pid.ts';
import { threshold } from '../../src/controller/threshold.ts';
import { type Effect, initialEffect, noteOn, watchEffect } from '../../src/controller/effect.ts';
import type { Level, Observation } from '../../src/core/controller.ts';
import { NS_PER_MS } from '../../src/core/units.ts';
import { input, SLO } from './observation.ts';
import { runBench, summarize } from './queue-bench.ts';

const LATE: Partial<Observation> = {
  quantileNs: 60 * NS_PER_MS,
  overSlo: 100,
  handlingTimeNs: 40 * NS_PER_MS,
  utilization: 0.2,
  demandNs: NS_PER_MS,
};

/** Ten steps a second at one level. */
function watch(
  seconds: number,
  appliedLevel: Level,
  changes: Partial<Observation>,
  before: Effect = initialEffect,
): Effect {
  let effect = before;
  for (let i = 0; i < seconds * 10; i++)
    effect = watchEffect(input({ ...LATE, ...changes }, { appliedLevel }), effect, 0.25);
  return effect;
}

describe('watchEffect()', () => {
  it('sees nothing while the SLO is met', () => {
    expect(watch(10, 1, { quantileNs: 19 * NS_PER_MS })).toBeNull();
  });

  it('finds that raising did not help, and then seeks the lowest level that is as good', () => {
    const raised = watch(5, 0.8, {}, watch(1, 0.4, {}));
    expect(raised).toMatchObject({ kind: 'futile', level: 0.8, seeking: true });
    expect(noteOn(raised, input())).toBe(
      'raising does not help: handling time was 40.0 ms at 40 % and is 40.0 ms at 80 %',
    );
    expect(watch(2, 0.8, {}, raised)).toMatchObject({ level: 0.8 * 0.85 });
    // What the load needs is never gone below.
    expect(watch(60, 0.8, {}, raised)).toMatchObject({ level: 0.25 });
  });

  it('finds nothing futile in a rise that is younger than what was measured', () => {
    const before = watch(5, 0.4, {});
    const justRaised = watchEffect(input(LATE, { appliedLevel: 0.8 }), before, 0.25, 0.42);
    expect(justRaised).toMatchObject({ kind: 'rising', note: null });
    expect(watchEffect(input(LATE, { appliedLevel: 0.8 }), justRaised, 0.25, 0.8)).toMatchObject({ kind: 'futile' });
  });

  it('takes a step down back that made it worse, and stays there', () => {
    const lower = watch(2, 0.8, {}, watch(5, 0.8, {}, watch(1, 0.4, {})));
    const back = watch(10, 0.68, { handlingTimeNs: 60 * NS_PER_MS }, lower);
    expect(back).toMatchObject({ seeking: false });
    expect((back as { level: number }).level).toBeCloseTo(0.8, 12);
  });

  it('does not give up where raising did shorten the handling time', () => {
    expect(watch(20, 0.8, { handlingTimeNs: 25 * NS_PER_MS }, watch(1, 0.4, {}))).toMatchObject({
      kind: 'rising',
      note: null,
    });
  });

  it('says that raising does not help, but does not lower the level, while the service is or may be overloaded', () => {
    for (const utilization of [0.95, null]) {
      const effect = watch(20, 0.8, { utilization }, watch(1, 0.4, { utilization }));
      expect(effect).toMatchObject({
        kind: 'rising',
        note: expect.stringContaining('raising does not help') as string,
      });
    }
  });

  it('knows at the highest level that the CPU is not what is missing', () => {
    const effect = watch(6, 1, {});
    expect(noteOn(effect, input())).toBe(
      'more speed would not help: the CPU works for 1.00 ms of the 40.0 ms that a request takes',
    );
    expect(watch(6, 1, { demandNs: null })).toMatchObject({ kind: 'rising', note: null });
    expect(watch(6, 1, { utilization: 0.7 })).toMatchObject({ kind: 'rising', note: null });
    expect(noteOn(watch(6, 1, { demandNs: null }), input({}, { appliedLevel: 1 }))).toBe(
      'over the SLO at the highest level allowed',
    );
  });

  it('forgets the verdict when the SLO is met, the service gets busy, or five minutes have passed', () => {
    const futile = watch(6, 1, {});
    expect(watch(1, 1, { quantileNs: 10 * NS_PER_MS }, futile)).toBeNull();
    expect(watch(0.1, 1, { utilization: 0.9 }, futile)).toBeNull();
    expect(watch(299, 1, {}, futile)).toMatchObject({ kind: 'futile' });
    expect(watch(300, 1, {}, futile)).not.toMatchObject({ kind: 'futile' });
  });
});

describe.each([pid, threshold, model])('$name in front of a disk', (kind) => {
  it('does not burn power for latency that no frequency changes', () => {
    const disk = { serviceNs: NS_PER_MS / 2, elsewhereNs: 30 * NS_PER_MS, loadAt: () => 0.05 };
    const ticks = runBench({ controller: kind.create({}), slo: SLO, ...disk, durationMs: 90_000, seed: 1 });
    const end = summarize(ticks, SLO.quantile, 60_000);
    const full = summarize(ticks, SLO.quantile, 0, 5000);
    expect(end.meanLevel).toBeLessThan(0.35);
    expect(end.quantileMs).toBeLessThan(1.25 * full.quantileMs);
    expect(ticks.at(-1)!.reason).toContain('more speed would not help: the CPU works for');
  });
});
