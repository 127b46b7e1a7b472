import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NS_PER_MS } from '../../src/core/units.ts';
import { Beat, stepMs } from '../../src/daemon/beat.ts';

const ms = (count: number) => BigInt(count * NS_PER_MS);
const time = fc.bigInt({ min: 0n, max: 2n ** 63n });
const intervalMs = fc.integer({ min: 1, max: 60_000 });

describe('Beat', () => {
  it('lies ahead by one step at most, on the beat, whatever time has passed, also beyond 2^53 ns', () => {
    const late = fc.bigInt({ min: 0n, max: 2n ** 60n });
    fc.assert(
      fc.property(time, late, intervalMs, fc.boolean(), (startNs, lateNs, interval, resting) => {
        const beat = new Beat(startNs, interval);
        beat.follow(interval, resting, startNs);
        const { dueNs } = beat;
        const stepNs = ms(stepMs(interval, resting));
        expect(dueNs).toBe(startNs + stepNs);
        const nowNs = dueNs + lateNs;
        const missed = beat.ticked(nowNs);
        expect(beat.dueNs > nowNs).toBe(true);
        expect(beat.dueNs - nowNs <= stepNs).toBe(true);
        expect(beat.dueNs - dueNs).toBe(BigInt(missed + 1) * stepNs);
      }),
    );
  });

  it('makes nothing of a night in suspension but a count', () => {
    const beat = new Beat(0n, 100);
    expect(beat.ticked(ms(100) + 28_800n * 1_000_000_000n)).toBe(288_000);
  });

  it('is never further ahead than one step, nor behind, whatever changes and whenever', () => {
    const change = fc.record({
      afterMs: fc.integer({ min: 0, max: 3000 }),
      interval: intervalMs,
      resting: fc.boolean(),
    });
    fc.assert(
      fc.property(intervalMs, fc.array(change, { maxLength: 20 }), (first, changes) => {
        const beat = new Beat(0n, first);
        let nowNs = 0n;
        for (const { afterMs, interval, resting } of changes) {
          nowNs += ms(afterMs);
          if (beat.dueNs <= nowNs) beat.ticked(nowNs);
          beat.follow(interval, resting, nowNs);
          expect(beat.dueNs > nowNs).toBe(true);
          expect(beat.dueNs - nowNs <= ms(stepMs(interval, resting))).toBe(true);
        }
      }),
    );
  });

  it('ticks every half second at rest, and an interval after the rest is over', () => {
    const beat = new Beat(0n, 100);
    beat.ticked(ms(100));
    expect(beat.follow(100, true, ms(101))).toBe(true);
    expect(beat.dueNs).toBe(ms(600));
    expect(beat.follow(100, true, ms(300))).toBe(false);
    expect(beat.follow(100, false, ms(333))).toBe(true);
    expect(beat.dueNs).toBe(ms(433));
  });

  it('a rest that ends as soon as it has begun leaves the beat where it was', () => {
    const beat = new Beat(0n, 100);
    beat.ticked(ms(100));
    beat.follow(100, true, ms(101));
    beat.follow(100, false, ms(102));
    expect(beat.dueNs).toBe(ms(200));
  });

  it('takes as many intervals as fit into half a second for a step at rest', () => {
    expect([1, 50, 100, 300, 500, 501, 2000].map((interval) => stepMs(interval, true))).toEqual([
      500, 500, 500, 300, 500, 501, 2000,
    ]);
    expect(stepMs(100, false)).toBe(100);
  });

  it('an interval longer than a rest is kept', () => {
    const beat = new Beat(0n, 2000);
    expect(beat.follow(2000, true, 0n)).toBe(false);
    expect(beat.dueNs).toBe(ms(2000));
  });
});
