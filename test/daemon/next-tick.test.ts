import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextTick } from '../../src/daemon/next-tick.ts';

describe('nextTick()', () => {
  it('lies ahead by one interval at most, on the beat, whatever time has passed, also beyond 2^53 ns', () => {
    const time = fc.bigInt({ min: 0n, max: 2n ** 63n });
    const interval = fc.bigInt({ min: 1_000_000n, max: 60_000_000_000n });
    fc.assert(
      fc.property(time, fc.bigInt({ min: -1_000_000n, max: 2n ** 60n }), interval, (dueNs, lateNs, intervalNs) => {
        const nowNs = dueNs + lateNs;
        const next = nextTick(dueNs, nowNs, intervalNs);
        expect((next.dueNs - dueNs) % intervalNs).toBe(0n);
        expect(next.dueNs > nowNs).toBe(true);
        if (lateNs >= 0n) expect(next.dueNs - nowNs <= intervalNs).toBe(true);
        expect(BigInt(next.missed)).toBe((next.dueNs - dueNs) / intervalNs - 1n);
      }),
    );
  });

  it('makes nothing of a night in suspension but a count', () => {
    expect(nextTick(1_000n, 1_000n + 28_800n * 1_000_000_000n, 100_000_000n).missed).toBe(288_000);
  });
});
