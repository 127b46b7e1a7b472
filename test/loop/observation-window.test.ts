import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NS_PER_MS } from '../../src/core/units.ts';
import { LONGEST_WINDOW_NS, ObservationWindow, requestsNeeded } from '../../src/loop/observation-window.ts';
import { SLO, snapshotOf } from './support.ts';

describe('requestsNeeded()', () => {
  it('asks for 299 requests for p99 and 59 for p95 at 95 % confidence', () => {
    expect(requestsNeeded(0.99)).toBe(299);
    expect(requestsNeeded(0.95)).toBe(59);
  });
});

describe('ObservationWindow', () => {
  it('rests on the newest second when that holds enough requests', () => {
    const window = new ObservationWindow(SLO);
    window.observe(snapshotOf(1000, 9 * NS_PER_MS), false);
    let seen = window.observe(snapshotOf(400, NS_PER_MS), false);
    for (let tick = 0; tick < 9; tick++) seen = window.observe(snapshotOf(400, NS_PER_MS), false);
    expect(seen).toMatchObject({ requests: 4000, overSlo: 0, windowMs: 1000 });
    expect(seen.quantileNs).toBeLessThan(1.05 * NS_PER_MS);
  });

  it('reaches back as far as it needs at low rates, and no further', () => {
    const window = new ObservationWindow(SLO);
    let seen = window.observe(snapshotOf(10, NS_PER_MS), false);
    for (let tick = 0; tick < 49; tick++) seen = window.observe(snapshotOf(10, NS_PER_MS), false);
    expect(seen).toMatchObject({ requests: 300, windowMs: 3000, throughputRps: 100 });
  });

  it('tells of all requests since the last step as the latest, however many looks that were', () => {
    const window = new ObservationWindow(SLO);
    window.observe(snapshotOf(30, NS_PER_MS), false);
    window.stepped();
    window.observe(snapshotOf(100, NS_PER_MS), false);
    const { latest } = window.observe(snapshotOf(10, 9 * NS_PER_MS), false);
    expect(latest).toMatchObject({ windowMs: 200, arrivals: 110, requests: 110 });
    expect(latest.quantileNs).toBeGreaterThan(8 * NS_PER_MS);
    window.stepped();
    expect(window.observe(snapshotOf(5, NS_PER_MS), false).latest).toMatchObject({ windowMs: 100, requests: 5 });
  });

  it('never reaches back further than the longest window, however few requests it holds', () => {
    const window = new ObservationWindow(SLO);
    let seen = window.observe(snapshotOf(1, NS_PER_MS), false);
    for (let tick = 0; tick < 500; tick++) seen = window.observe(snapshotOf(0, 0), false);
    expect(seen).toMatchObject({ requests: 0, quantileNs: null, medianNs: null, socketWaitNs: null, demandNs: null });
    expect(seen.windowMs * NS_PER_MS).toBe(LONGEST_WINDOW_NS);
  });

  it('tells waiting from handling, and demand from both', () => {
    const seen = new ObservationWindow(SLO).observe(snapshotOf(400, 4 * NS_PER_MS), true);
    expect(seen.socketWaitNs).toBeCloseTo(NS_PER_MS, 3);
    expect(seen.handlingTimeNs).toBeCloseTo(3 * NS_PER_MS, 3);
    expect(seen.demandNs).toBeCloseTo(2 * NS_PER_MS, 3);
    expect(seen.alarmed).toBe(true);
  });

  it('knows no demand when any of its snapshots does not', () => {
    const window = new ObservationWindow(SLO);
    window.observe(snapshotOf(10, NS_PER_MS, { cpuTimeNs: null }), false);
    expect(window.observe(snapshotOf(10, NS_PER_MS), false).demandNs).toBeNull();
  });

  it('gathers as many requests as came, up to what it needs and one snapshot more', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(500), { minLength: 1, maxLength: 80 }), (counts) => {
        const window = new ObservationWindow(SLO);
        let requests = 0;
        for (const count of counts) requests = window.observe(snapshotOf(count, NS_PER_MS), false).requests;
        const all = counts.reduce((sum, count) => sum + count, 0);
        expect(requests).toBeLessThanOrEqual(all);
        expect(requests).toBeGreaterThanOrEqual(Math.min(all, requestsNeeded(SLO.quantile)));
      }),
    );
  });
});
