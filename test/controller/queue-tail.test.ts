import { describe, expect, it } from 'vitest';
import { chanceOfWaiting, meanWait, tailOf } from '../../src/controller/queue-tail.ts';

/** Erlang's C: the chance of waiting in M/M/k, exactly. */
function erlangC(rho: number, k: number): number {
  let blocking = 1;
  for (let i = 1; i <= k; i++) blocking = (rho * k * blocking) / (i + rho * k * blocking);
  return blocking / (1 - rho * (1 - blocking));
}

describe('the queue’s formulas', () => {
  it('are exact for the mean wait of M/M/1', () => {
    for (const rho of [0.1, 0.5, 0.9]) expect(meanWait(rho, 1, 1)).toBeCloseTo(rho / (1 - rho), 12);
  });

  it('come near Erlang’s C for many servers under load', () => {
    for (const k of [2, 4, 10, 40]) {
      for (const rho of [0.8, 0.9, 0.95])
        expect(Math.abs(chanceOfWaiting(rho, k) - erlangC(rho, k))).toBeLessThan(0.07);
    }
  });

  it('come near the p99 of M/M/1, which is known exactly', () => {
    for (const rho of [0.2, 0.5, 0.8, 0.95]) {
      const exact = -Math.log(0.01) / (1 - rho);
      expect(tailOf(0.99, rho, 1, 1) / exact).toBeGreaterThan(0.85);
      expect(tailOf(0.99, rho, 1, 1) / exact).toBeLessThan(1.16);
    }
  });

  it('see many servers wait later, and then as steeply', () => {
    expect(tailOf(0.99, 0.5, 10, 1)).toBeLessThan(tailOf(0.99, 0.5, 1, 1) / 1.5);
    expect(tailOf(0.99, 0.98, 10, 1)).toBeGreaterThan(3 * tailOf(0.99, 0.8, 10, 1));
  });

  it('stay finite without load and beyond saturation', () => {
    expect(tailOf(0.99, 0, 1, 1)).toBeCloseTo(4.605, 3);
    expect(Number.isFinite(tailOf(0.99, 7, 1, 1))).toBe(true);
  });
});
