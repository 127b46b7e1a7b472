import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NS_PER_MS, NS_PER_S } from '../../src/core/units.ts';
import { healthOf, type Signs, stallAfterNs } from '../../src/sensor/health.ts';

const quiet: Signs = { windowNs: 100 * NS_PER_MS, arrivals: 0, requests: 0, inFlight: 0, sinceProgressNs: 0 };

describe('healthOf()', () => {
  it('is idle when nothing came, nothing went and nothing is there', () => {
    expect(healthOf(quiet)).toBe('idle');
    expect(healthOf({ ...quiet, sinceProgressNs: 3600 * NS_PER_S })).toBe('idle');
  });

  it.each([{ arrivals: 1 }, { requests: 1 }, { inFlight: 1 }, { arrivals: 1, inFlight: 1 }])(
    'is active with %o',
    (signs) => {
      expect(healthOf({ ...quiet, ...signs })).toBe('active');
    },
  );

  it('is a stall when requests are in flight and none has completed for a second', () => {
    const waiting = { ...quiet, inFlight: 1, arrivals: 500 };
    expect(healthOf({ ...waiting, sinceProgressNs: NS_PER_S })).toBe('active');
    expect(healthOf({ ...waiting, sinceProgressNs: NS_PER_S + 1 })).toBe('stall');
    expect(healthOf({ ...waiting, requests: 1, sinceProgressNs: NS_PER_S + 1 })).toBe('active');
  });

  it('waits for ten times the objective where that is longer', () => {
    const waiting = { ...quiet, inFlight: 1, sloLatencyNs: NS_PER_S };
    expect(healthOf({ ...waiting, sinceProgressNs: 10 * NS_PER_S })).toBe('active');
    expect(healthOf({ ...waiting, sinceProgressNs: 10 * NS_PER_S + 1 })).toBe('stall');
    expect(stallAfterNs(NS_PER_MS)).toBe(NS_PER_S);
  });

  it('is silence whenever the clock has not moved on, whatever the figures say', () => {
    const count = fc.nat();
    const signs = fc.record({ arrivals: count, requests: count, inFlight: count, sinceProgressNs: count });
    fc.assert(
      fc.property(signs, fc.integer({ max: 0 }), (rest, windowNs) => {
        expect(healthOf({ ...rest, windowNs })).toBe('silence');
      }),
    );
    expect(healthOf({ ...quiet, windowNs: Number.NaN })).toBe('silence');
  });
});
