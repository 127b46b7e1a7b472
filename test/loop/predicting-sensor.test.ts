import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NS_PER_MS } from '../../src/core/units.ts';
import { predictSnapshot } from '../../src/loop/predicting-sensor.ts';
import { SLO, snapshotOf } from './support.ts';

describe('predictSnapshot()', () => {
  it('changes nothing at full level', () => {
    const seen = snapshotOf(100, NS_PER_MS);
    expect(predictSnapshot(seen, 1, SLO)).toBe(seen);
  });

  it('doubles the handling time of wholly frequency-bound work at half the level', () => {
    const seen = snapshotOf(100, NS_PER_MS, { cpuTimeNs: 100 * 0.75 * NS_PER_MS, busiestThreadRatio: 0.1 });
    const predicted = predictSnapshot(seen, 0.5, SLO);
    expect(predicted.handlingTime.sumNs / seen.handlingTime.sumNs).toBeCloseTo(2, 6);
    expect(predicted.busiestThreadRatio).toBeCloseTo(0.2, 6);
  });

  it('leaves handling time that uses no CPU as it is', () => {
    const seen = snapshotOf(100, NS_PER_MS, { cpuTimeNs: 0 });
    expect(predictSnapshot(seen, 0.5, SLO).handlingTime.sumNs).toBe(seen.handlingTime.sumNs);
  });

  it('lets socket wait grow as an M/G/1 queue does: at ρ 0.4, half the speed makes it six times as long', () => {
    const seen = snapshotOf(100, NS_PER_MS, { cpuTimeNs: 100 * 0.75 * NS_PER_MS, busiestThreadRatio: 0.4 });
    const predicted = predictSnapshot(seen, 0.5, SLO);
    // twice the service time, and 0.8/0.2 ÷ 0.4/0.6
    expect(predicted.socketWait.sumNs / seen.socketWait.sumNs).toBeCloseTo(2 * 6, 6);
  });

  it('counts the requests that would be over the objective', () => {
    const seen = snapshotOf(100, 4 * NS_PER_MS, { cpuTimeNs: null, busiestThreadRatio: null });
    expect(seen.overSlo).toBe(0);
    expect(predictSnapshot(seen, 0.5, SLO).overSlo).toBe(100);
  });

  it('is monotone: a lower level is never faster', () => {
    const level = fc.double({ min: 0.05, max: 1, noNaN: true });
    fc.assert(
      fc.property(level, level, fc.double({ min: 0, max: 1, noNaN: true }), (one, other, busy) => {
        const seen = snapshotOf(50, 2 * NS_PER_MS, { busiestThreadRatio: busy });
        const [slow, fast] = [Math.min(one, other), Math.max(one, other)];
        const at = (share: number) => predictSnapshot(seen, share, SLO);
        expect(at(slow).latency.sumNs).toBeGreaterThanOrEqual(at(fast).latency.sumNs * (1 - 1e-9));
        expect(at(slow).latency.count).toBe(50);
      }),
    );
  });
});
