import { describe, expect, it } from 'vitest';
import { type ObservedLoad, unknownLoad } from '../../src/controller/observed-load.ts';
import { followSaturation, neverSaturated, type Saturation } from '../../src/controller/saturation.ts';

const CEILING = 0.9;

/** A look at utilisation, and how many requests come a second. */
const look = (utilization: number, rps: number, level: number): ObservedLoad => ({
  ...unknownLoad,
  utilization,
  level,
  arrivals: { rps, lately: rps, jumped: false },
});
const follow = (before: Saturation, ...looks: readonly ObservedLoad[]) =>
  looks.reduce((state, seen) => followSaturation(state, seen, CEILING), before);

describe('followSaturation()', () => {
  const free = follow(neverSaturated, look(0.7, 1000, 0.8));

  it('lets a service be as busy as it likes while as many requests come as before', () => {
    expect(follow(free, look(1, 1010, 0.6), look(1, 980, 0.5)).floor).toBe(0);
  });

  it('brings back the speed at which as many requests came as before', () => {
    expect(follow(free, look(1, 800, 0.56)).floor).toBeCloseTo(0.7, 12);
  });

  it('takes fewer requests for no harm where the service has time to rest', () => {
    expect(follow(free, look(0.6, 500, 0.5), look(1, 490, 0.3)).floor).toBe(0);
  });

  it('gets faster for as long as a service was never seen to rest', () => {
    const once = follow(neverSaturated, look(1, 1000, 0.5));
    expect(once.floor).toBeCloseTo(0.55, 12);
    let state = once;
    for (let i = 0; i < 10; i++) state = follow(state, look(1, 1000, state.floor));
    expect(state.floor).toBe(1);
  });

  it('gives the floor back little by little', () => {
    const raised = follow(free, look(1, 800, 0.56));
    const later = follow(raised, look(0.8, 1000, 0.7));
    expect(later.floor).toBeLessThan(raised.floor);
    expect(later.floor).toBeGreaterThan(0.9 * raised.floor);
  });

  it('does not hold a level for requests that stopped coming though the service was as fast', () => {
    const left: ObservedLoad = {
      ...look(1, 400, 0.8),
      sinceMs: 100,
      arrivals: { rps: 400, lately: 400, jumped: true },
      history: [{ level: 0.8, forMs: 1000 }],
    };
    expect(follow(free, left, look(1, 395, 0.5)).floor).toBe(0);
    // At half of the speed half as many is what clients that wait would do.
    const waits = { ...left, history: [{ level: 0.4, forMs: 1000 }] };
    expect(
      follow(free, { ...waits, arrivals: { rps: 500, lately: 500, jumped: true } }, look(1, 495, 0.4)).floor,
    ).toBeGreaterThan(0.7);
  });

  it('says nothing between two looks', () => {
    expect(followSaturation(free, { ...look(1, 500, 0.5), sinceMs: 100 }, CEILING)).toBe(free);
  });
});
