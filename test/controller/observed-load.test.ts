import { describe, expect, it } from 'vitest';
import { type ObservedLoad, observeLoad, unknownLoad } from '../../src/controller/observed-load.ts';
import { input } from './observation.ts';

/** A step of 100 ms in which so many requests arrived and completed. */
const look = (
  before: ObservedLoad,
  utilization: number | null,
  appliedLevel: number,
  requests = 100,
  elapsedMs = 100,
) =>
  observeLoad(
    before,
    input(
      { utilization, latest: { windowMs: elapsedMs, arrivals: requests, requests, overSlo: 0, quantileNs: null } },
      { appliedLevel, elapsedMs },
    ),
  );

describe('observeLoad()', () => {
  it('is the utilisation times the level that it was measured at', () => {
    expect(look(unknownLoad, 0.5, 0.6).load).toBeCloseTo(0.3, 12);
  });

  it('takes each look in once, though it is shown ten times and the level moves meanwhile', () => {
    let load = look(unknownLoad, 0.5, 1);
    for (const level of [0.9, 0.7, 0.5, 0.5]) load = look(load, 0.5, level);
    expect(load.load).toBeCloseTo(0.5, 12);
  });

  it('follows a jump of the arrival rate at once', () => {
    const before = look(look(unknownLoad, 0.2, 1), 0.2, 1);
    const after = look(before, 0.2, 1, 300);
    expect(after.load).toBeCloseTo(0.6, 12);
    expect([before.arrivals?.jumped, after.arrivals?.jumped]).toEqual([false, true]);
  });

  it('averages what a request takes over looks', () => {
    const noisy = look(look(unknownLoad, 0.4, 1), 0.8, 1);
    expect(noisy.load).toBeCloseTo(0.6, 12);
  });

  it('keeps what it knows while utilisation is not known', () => {
    expect(look(look(unknownLoad, 0.4, 1), null, 0.5).load).toBeCloseTo(0.4, 12);
    expect(look(unknownLoad, null, 0.5).load).toBeNull();
  });
});
