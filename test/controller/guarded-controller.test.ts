import { describe, expect, it } from 'vitest';
import { guardedController, type GuardedState } from '../../src/controller/guarded-controller.ts';
import type { Controller } from '../../src/core/controller.ts';
import type { Observation } from '../../src/core/controller.ts';
import { NS_PER_MS } from '../../src/core/units.ts';
import { input, SLO } from './observation.ts';

/** A law that always wants 0.4, and counts its steps. */
const law: Controller<number> = {
  name: 'test',
  initial: () => 0,
  step: (_, steps) => ({ level: 0.4, state: steps + 1, reason: 'as ever' }),
};
const PARAMETERS = {
  setpoint: 0.8,
  confidence: 0.9,
  utilizationCeiling: 0.9,
  idleAfter: 1000,
  silenceAfter: 1000,
  safeLevel: 0.9,
};
const guarded = guardedController(law, PARAMETERS);

interface Run {
  state: GuardedState<number>;
  level: number;
  reason: string;
  rests?: boolean;
}

const start: Run = { state: guarded.initial(0.4), level: 0.4, reason: '' };

function step(run: Run, changes: Partial<Observation>, times = 1): Run {
  let now = run;
  for (let i = 0; i < times; i++) {
    now = guarded.step(input({ utilization: 0.3, ...changes }, { appliedLevel: now.level }), now.state);
  }
  return now;
}

const IDLE: Partial<Observation> = { health: 'idle', requests: 0, quantileNs: null, inFlight: 0 };
const nothing = { windowMs: 100, arrivals: 0, requests: 0, overSlo: 0, quantileNs: null };

describe('guardedController()', () => {
  it('lets the law decide while the service is active', () => {
    const run = step(start, {}, 3);
    expect([run.level, run.reason, run.state.law]).toEqual([0.4, 'as ever', 3]);
  });

  it('holds a short idle and takes the lowest level after a long one', () => {
    expect(step(start, IDLE, 9).level).toBe(0.4);
    const run = step(start, IDLE, 10);
    expect(run.level).toBe(0.2);
    expect(run.reason).toBe('idle for 1.0 s: idle level');
  });

  it('rests at the idle level, and then alone', () => {
    expect(step(start, {}).rests).toBeUndefined();
    expect(step(start, IDLE, 9).rests).toBeUndefined();
    const idle = step(start, IDLE, 10);
    expect([idle.rests, step(idle, IDLE).rests]).toEqual([true, true]);
    for (const changes of [
      { ...IDLE, alarmed: true },
      { requests: 1 },
      { health: 'stall' },
      { health: 'silence' },
    ] as const)
      expect(step(idle, changes).rests).toBeUndefined();
  });

  it('meets the first arrival after idle with the level from before, in one jump', () => {
    const run = step(step(start, IDLE, 20), { requests: 1 });
    expect([run.level, run.reason]).toEqual([0.4, 'active again: to 40 %']);
  });

  it('takes an alarm while idle for the first arrival', () => {
    expect(step(step(start, IDLE, 20), { ...IDLE, alarmed: true }).level).toBe(0.4);
  });

  it('goes to the maximum at a stall and starts the law anew after it', () => {
    const stalled = step(step(start, {}, 3), { health: 'stall', inFlight: 7 });
    expect(stalled.level).toBe(1);
    expect(stalled.reason).toContain('7 in flight');
    const after = step(stalled, {});
    expect([after.level, after.state.law]).toEqual([1, 0]);
  });

  it('holds a short silence and rises to the safe level after a long one', () => {
    expect(step(start, { health: 'silence' }, 9).level).toBe(0.4);
    expect(step(start, { health: 'silence' }, 10).level).toBe(0.9);
    expect(step(step(start, IDLE, 20), { health: 'silence' }, 10).level).toBe(0.9);
  });

  it('raises the level of a service that stays saturated though its SLO holds', () => {
    expect(step(start, { utilization: 1 }, 200).level).toBe(1);
  });

  it('raises at once for a queue that piles up', () => {
    const run = step(start, { inFlight: 80 });
    expect(run.level).toBe(1);
    expect(run.reason).toBe('80 in flight: boost to 100 %');
  });

  it('shows the law what has been learned of the service, this step included', () => {
    const rates: (number | undefined)[] = [];
    const curious = guardedController<null>(
      {
        name: 'curious',
        initial: () => null,
        step: (_, state, { load }) => {
          rates.push(load.arrivals?.rps);
          return { level: 0.4, state, reason: 'as ever' };
        },
      },
      PARAMETERS,
    );
    curious.step(input(), curious.initial(0.4));
    expect(rates).toEqual([300]);
  });

  it('asks to be asked again while a boost lasts or an alarm was answered, and not otherwise', () => {
    const againMs = (changes: Partial<Observation>) =>
      guarded.step(input({ utilization: 0.3, ...changes }, { appliedLevel: 0.4 }), start.state).againMs;
    expect(againMs({})).toBeUndefined();
    expect(againMs({ alarmed: true })).toBe(10);
    expect(againMs({ inFlight: 80 })).toBe(10);
  });

  it('looks less and less often at a boost that lasts, and anew at the next one', () => {
    let { state } = start;
    const looks = [80, 80, 80, 300, 0, 80, 80].map((inFlight) => {
      const out = guarded.step(input({ utilization: 0.3, inFlight }, { appliedLevel: 0.4 }), state);
      ({ state } = out);
      return [out.level, out.againMs];
    });
    const boosts = [10, 20, 40, 80].map((againMs) => [1, againMs]);
    expect(looks).toEqual([...boosts, [0.4, undefined], ...boosts.slice(0, 2)]);
  });

  it('goes down right after an alarm where the level can follow the queue, and elsewhere after 30 ms', () => {
    const drained = { inFlight: 0, oldestInFlightNs: 0 };
    const levelsAfter = (latencyNs: number) => {
      const busy = { alarmed: true, inFlight: 3, oldestInFlightNs: 0.8 * latencyNs };
      const slo = { ...SLO, latencyNs };
      const given = (changes: Partial<Observation>) => ({
        ...input({ utilization: 0.3, quantileNs: latencyNs / 2, ...changes }, { appliedLevel: 0.4 }),
        slo,
        elapsedMs: 10,
      });
      let { level, state } = guarded.step(given(busy), start.state);
      expect(level).toBeGreaterThan(0.4);
      return [1, 2, 3, 4].map(() => {
        const before = level;
        ({ level, state } = guarded.step(given(drained), state));
        return before > 0.4 && level === before ? 'boosted' : level;
      });
    };
    expect(levelsAfter(20 * NS_PER_MS)).toEqual([0.4, 0.4, 0.4, 0.4]);
    expect(levelsAfter(NS_PER_MS)).toEqual(['boosted', 'boosted', 0.4, 0.4]);
  });

  it('moves with a jump of the load, and says from where to where and why', () => {
    const jump = { latest: { windowMs: 100, arrivals: 120, requests: 120, overSlo: 0, quantileNs: NS_PER_MS } };
    const calm = step(start, { demandNs: NS_PER_MS / 2 }, 30);
    const run = step(calm, { demandNs: NS_PER_MS / 2, ...jump });
    expect(run.level).toBeGreaterThan(0.5);
    expect(run.reason).toMatch(/^arrivals jumped from 300\/s to 1200\/s: up from 40 % to \d+ % for the same latency$/);
  });

  it('says when raising does not help', () => {
    const slow = { quantileNs: 50 * NS_PER_MS, overSlo: 100, handlingTimeNs: 40 * NS_PER_MS, latest: nothing };
    let state = guarded.initial(0.4);
    let reason = '';
    for (let i = 0; i < 60; i++) {
      const appliedLevel = i < 10 ? 0.4 : 0.8;
      ({ state, reason } = guarded.step(input(slow, { appliedLevel }), state));
    }
    expect(reason).toContain('raising does not help: handling time was 40.0 ms at 40 % and is 40.0 ms at 80 %');
  });
});
