import { describe, expect, it } from 'vitest';
import type { Snapshot } from '../../src/core/sensor.ts';
import { DashboardHistory, HEAT_ROW_BOUNDS_US } from '../../src/telemetry/dashboard-history.ts';
import { snapshotOf, tickOf, windowOf } from './metrics-support.ts';

function bench(policyOf = (service: string) => ({ policy: `${service}.yaml`, controller: 'pid' })) {
  const history = new DashboardHistory(policyOf);
  const tick = (
    atMs: number,
    snapshots: readonly Snapshot[],
    overrides: Parameters<typeof tickOf>[1] = {},
    figures: { missed?: number; watts?: number } = {},
  ) => {
    const { report, times } = tickOf(snapshots, overrides);
    history.tick(report, figures.missed ?? 0, times, figures.watts ?? null, atMs);
  };
  return { history, tick };
}

describe('DashboardHistory', () => {
  it('gathers the ticks of a second, and tells it when it is over', () => {
    const { history, tick } = bench();
    tick(10_100, [windowOf([1, 2, 3])]);
    tick(10_900, [windowOf([40], { inFlight: 2 })], { faults: ['x'] }, { missed: 1, watts: 12.3456 });
    expect(history.secondsAfter(-1)).toEqual([]);
    tick(11_000, [windowOf([])]);
    const [second] = history.secondsAfter(-1);
    expect(second).toMatchObject({
      at: 10,
      coveredS: 0.2,
      khz: { policy0: 1_000_000 },
      watts: 12.346,
      faults: 1,
      missed: 1,
    });
    const web = second!.services['web']!;
    expect(web).toMatchObject({ requests: 4, overSlo: 1, inFlight: 2, socketWaitUs: 0, level: 0.5 });
    expect(web.handlingTimeUs).toBeCloseTo(11_500, 0);
    expect(web.p50Us! / 2000).toBeCloseTo(1, 1);
    expect(web.tailUs! / 40_000).toBeCloseTo(1, 1);
  });

  it('puts each request into the row of its latency', () => {
    const { history, tick } = bench();
    tick(1_000, [windowOf([0.0001, 1, 1, 40, 1e9])]);
    tick(2_000, [windowOf([])]);
    const { heat } = history.secondsAfter(-1)[0]!.services['web']!;
    const rows = heat.filter((_, index) => index % 2 === 0);
    const counts = heat.filter((_, index) => index % 2 === 1);
    expect(counts).toEqual([1, 2, 1, 1]);
    expect(rows).toEqual([...rows].sort((a, b) => a - b));
    const row = rows[1]!;
    expect(HEAT_ROW_BOUNDS_US[row]).toBeLessThanOrEqual(1000);
    expect(HEAT_ROW_BOUNDS_US[row + 1]).toBeGreaterThan(1000);
    expect(rows.at(-1)).toBe(HEAT_ROW_BOUNDS_US.length - 2);
  });

  it('has no latency where nothing completed', () => {
    const { history, tick } = bench();
    tick(1_000, [snapshotOf(0, 0)]);
    tick(2_000, [snapshotOf(0, 0)]);
    const idle = { requests: 0, p50Us: null, tailUs: null, socketWaitUs: null, handlingTimeUs: null, heat: [] };
    expect(history.secondsAfter(-1)[0]!.services['web']).toMatchObject(idle);
  });

  it('gives the seconds after one, at most a quarter of an hour', () => {
    const { history, tick } = bench();
    for (let at = 0; at < 1000; at++) tick(at * 1000, [snapshotOf(0, 0)]);
    expect(history.secondsAfter(996).map(({ at }) => at)).toEqual([997, 998]);
    expect(history.secondsAfter(-1)).toHaveLength(900);
  });

  it('is not confused by a clock that is set back', () => {
    const { history, tick } = bench();
    for (const atMs of [10_000, 4_000, 5_000, 10_500, 11_000]) tick(atMs, [windowOf([1])]);
    expect(history.secondsAfter(-1).map(({ at }) => at)).toEqual([10]);
    expect(history.secondsAfter(-1)[0]!.services['web']!.requests).toBe(4);
  });

  it('notes changes of level with their reasons, the last one of a second, and not those that were taken back in it', () => {
    const { history, tick } = bench();
    const at = (atMs: number, level: number, reason: string) =>
      tick(atMs, [windowOf([1])], { decision: { level, reason } });
    at(1_000, 1, 'start');
    at(2_000, 0.9, 'down');
    at(2_500, 0.8, 'further down');
    at(3_000, 0.801, 'too little to be news');
    at(4_000, 1, 'up');
    at(4_500, 0.8, 'and back');
    at(5_000, 0.8, 'stay');
    expect(history.decisionsAfter(-1)).toEqual([
      { at: 1, service: 'web', from: 1, to: 1, reason: 'start' },
      { at: 2, service: 'web', from: 1, to: 0.8, reason: 'further down' },
    ]);
    expect(history.decisionsAfter(1)).toHaveLength(1);
  });

  it('notes which policy came into force, and which rule of its schedule', () => {
    let policy = { policy: 'day.yaml', controller: 'pid' };
    const { history, tick } = bench(() => policy);
    tick(1_000, [windowOf([1])]);
    tick(2_000, [windowOf([1])]);
    tick(3_000, [windowOf([1])]);
    policy = { policy: 'night.yaml', controller: 'threshold' };
    tick(3_500, [windowOf([1])]);
    const schedule = { rule: '0 22 * * *', since: null, next: null };
    tick(4_000, [windowOf([1])], { decision: { schedule } });
    tick(5_000, [windowOf([1])], { decision: { schedule } });
    tick(6_000, [windowOf([1])], { decision: { schedule } });
    expect(history.policies).toEqual([
      { at: 1, service: 'web', policy: 'day.yaml', controller: 'pid', rule: null },
      { at: 3, service: 'web', policy: 'night.yaml', controller: 'threshold', rule: null },
      { at: 4, service: 'web', policy: 'night.yaml', controller: 'threshold', rule: '0 22 * * *' },
    ]);
  });
});
