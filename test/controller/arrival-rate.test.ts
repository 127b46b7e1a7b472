import { describe, expect, it } from 'vitest';
import { type ArrivalRate, followArrivals } from '../../src/controller/arrival-rate.ts';
import { observation } from './observation.ts';
import { seeded } from './queue-bench.ts';

const seeing = (arrivals: number, windowMs = 100) =>
  observation({ latest: { windowMs, arrivals, requests: arrivals, overSlo: 0, quantileNs: null } });

/** Poisson counts. */
function poisson(mean: number, random: () => number): number {
  let product = random();
  let count = 0;
  for (; product > Math.exp(-mean); count++) product *= random();
  return count;
}

describe('followArrivals()', () => {
  it('averages a steady stream, and takes its noise for no jump', () => {
    const random = seeded(5);
    let rate: ArrivalRate | null = null;
    let jumps = 0;
    for (let i = 0; i < 3000; i++) {
      rate = followArrivals(rate, seeing(poisson(30, random)));
      if (rate!.jumped) jumps++;
    }
    expect(jumps).toBeLessThan(10);
    expect(rate!.rps).toBeGreaterThan(270);
    expect(rate!.rps).toBeLessThan(330);
  });

  it('follows a jump in one step, both ways', () => {
    const steady = followArrivals(null, seeing(30));
    expect(followArrivals(steady, seeing(100))).toMatchObject({ rps: 1000, jumped: true });
    expect(followArrivals(followArrivals(null, seeing(100)), seeing(10))).toMatchObject({ rps: 100, jumped: true });
  });

  it('waits for evidence where a handful of requests arrive', () => {
    const rare = followArrivals(null, seeing(1, 1000));
    expect(followArrivals(rare, seeing(2))!.jumped).toBe(false);
  });

  it('knows nothing of a window without length', () => {
    expect(followArrivals(null, seeing(5, 0))).toBeNull();
  });
});
