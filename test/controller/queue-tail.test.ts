import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { combinedTail, waitTailS } from '../../src/controller/queue-tail.ts';

const FAR = 1e9;

describe('waitTailS()', () => {
  it('is the tail of an M/M/1 queue in balance where nothing waits and the horizon is far', () => {
    // A hundred requests a second, each a hundredth of a second of work on average: 90 % busy at a speed of 1/0.9.
    const queue = { backlogS: 0, load: 1, loadDeviation: Math.sqrt(2 * 100) / 100 };
    const speed = 1 / 0.9;
    const balancedS = -Math.log(0.01) / (100 * (speed - 1));
    expect(waitTailS(queue, 0.99, speed, FAR)).toBeCloseTo(balancedS / speed, 9);
  });

  it('is what has to be waited for where nothing comes', () => {
    expect(waitTailS({ backlogS: 0.02, load: 0, loadDeviation: 0 }, 0.99, 0.5, 1)).toBe(0.04);
  });

  it('grows with the horizon only for as long as the queue can', () => {
    const queue = { backlogS: 0, load: 0.5, loadDeviation: 0.05 };
    expect(waitTailS(queue, 0.99, 0.6, 0.01)).toBeLessThan(waitTailS(queue, 0.99, 0.6, 0.1));
    expect(waitTailS(queue, 0.99, 0.6, 10)).toBe(waitTailS(queue, 0.99, 0.6, FAR));
    expect(waitTailS(queue, 0.99, 0.4, 10)).toBeLessThan(waitTailS(queue, 0.99, 0.4, 20));
  });

  it('never grows with speed, and never shrinks with what waits', () => {
    const share = fc.double({ min: 0.01, max: 1, noNaN: true });
    fc.assert(
      fc.property(share, share, share, share, share, (load, loadDeviation, backlogS, slower, horizonS) => {
        const queue = { backlogS, load, loadDeviation };
        const wait = waitTailS(queue, 0.99, slower, horizonS);
        expect(waitTailS(queue, 0.99, slower * 1.1, horizonS)).toBeLessThanOrEqual(wait * (1 + 1e-9));
        expect(waitTailS({ ...queue, backlogS: 0 }, 0.99, slower, horizonS)).toBeLessThanOrEqual(wait * (1 + 1e-9));
      }),
    );
  });
});

describe('combinedTail()', () => {
  it('lies between the larger of the two and their sum, which in M/M/1 is exact', () => {
    expect(combinedTail(1, 0)).toBe(1);
    expect(combinedTail(1, 1)).toBeGreaterThan(1.5);
    expect(combinedTail(1, 1)).toBeLessThan(2);
  });
});
