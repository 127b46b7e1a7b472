import { describe, expect, it } from 'vitest';
import type { Actuator, Applied } from '../../src/core/actuator.ts';
import type { Controller, ControllerInput } from '../../src/core/controller.ts';
import type { Machine, OperatingPoint } from '../../src/core/machine.ts';
import type { Planner } from '../../src/core/planner.ts';
import type { Alarm, Sensor, Snapshot } from '../../src/core/sensor.ts';
import { cpuId, kiloHertz, NS_PER_MS } from '../../src/core/units.ts';
import { GovernorLoop } from '../../src/loop/governor-loop.ts';
import type { GovernedService, Law } from '../../src/loop/law.ts';
import { SLO, snapshotOf } from './support.ts';

const MAX_KHZ = 2_000_000;
const machine: Machine = {
  cpus: [cpuId(0)],
  domains: [
    {
      id: 'policy0',
      cpus: [cpuId(0)],
      minKhz: kiloHertz(400_000),
      maxKhz: kiloHertz(MAX_KHZ),
      allowedMinKhz: kiloHertz(400_000),
      allowedMaxKhz: kiloHertz(MAX_KHZ),
      stepsKhz: null,
    },
  ],
};
const pointAt = (level: number): OperatingPoint => ({
  frequencyKhz: { policy0: kiloHertz(level * MAX_KHZ) },
  cpus: {},
});
const planner: Planner = {
  machine,
  full: pointAt(1),
  plan: (requests) => {
    const level = Math.max(...requests.map((request) => request.level));
    return { point: pointAt(level), levels: Object.fromEntries(requests.map(({ service }) => [service, level])) };
  },
  levelOf: (point) => point.frequencyKhz['policy0']! / MAX_KHZ,
};

/** A loop over parts that a test can watch and steer. */
function bench(
  options: { clampAtLevel?: number; intervalMs?: number; lawAt?: (wallMs: number) => Law; alarms?: false } = {},
) {
  let nowNs = 0n;
  let next: Snapshot | Error = snapshotOf(100, NS_PER_MS);
  const points: OperatingPoint[] = [];
  const inputs: ControllerInput[] = [];
  const answer: { level: number; throws: boolean; againMs?: number; rests?: true } = { level: 0.5, throws: false };
  const reads: (boolean | undefined)[] = [];
  const sensor: Sensor = {
    method: 'simulated',
    unit: 'turn',
    read: (urgent) => {
      reads.push(urgent);
      if (next instanceof Error) throw next;
      return [next];
    },
    close: () => {},
    ...(options.alarms === false ? {} : { alarms: { fd: -1, drain: () => [], disarm: () => {} } }),
  };
  let applied: OperatingPoint | undefined;
  const actuator: Actuator = {
    machine,
    method: 'test',
    engage: () => {},
    apply: (point): Applied => {
      points.push(point);
      const writes = point.frequencyKhz['policy0'] === applied?.frequencyKhz['policy0'] ? 0 : 1;
      applied = point;
      const askedKhz = point.frequencyKhz['policy0']!;
      const appliedKhz = kiloHertz(Math.max(askedKhz, (options.clampAtLevel ?? 0) * MAX_KHZ));
      return {
        point,
        writes,
        frequencies: [
          { domain: 'policy0', askedKhz, appliedKhz, outcome: askedKhz === appliedKhz ? 'applied' : 'clamped' },
        ],
      };
    },
    release: () => [],
  };
  const controllerOf = (name: string): Controller<{ from: number }> => ({
    name,
    initial: (level) => ({ from: level }),
    step: (input, state) => {
      inputs.push(input);
      if (answer.throws) throw new Error('lost');
      const { throws: _, ...said } = answer;
      return { ...said, state, reason: `from ${state.from}` };
    },
  });
  const controller = controllerOf('scripted');
  const service: GovernedService = {
    name: 'web',
    slo: SLO,
    controller,
    intervalMs: options.intervalMs ?? 100,
    limits: { min: 0.2, max: 1 },
    ...(options.lawAt === undefined ? {} : { lawAt: options.lawAt }),
  };
  let wallMs = 1_700_000_000_000;
  const loop = new GovernorLoop({
    services: [service],
    sensor,
    planner,
    actuator,
    clock: { monotonicNs: () => nowNs, wallMs: () => wallMs },
    mode: 'simulate',
  });
  return {
    loop,
    service,
    controllerOf,
    change: (services: readonly GovernedService[]) => loop.change({ services, sensor, planner }),
    setWall: (ms: number) => (wallMs = ms),
    points,
    inputs,
    answer,
    reads,
    see: (snapshot: Snapshot | Error) => (next = snapshot),
    tick: (afterMs = 100, alarms: readonly Alarm[] = [], early = alarms.length > 0) => {
      nowNs += BigInt(afterMs * NS_PER_MS);
      return loop.tick(nowNs, alarms, early);
    },
  };
}

describe('GovernorLoop', () => {
  it('says whether an alarm could raise a service: not at its highest level, nor while paused', () => {
    const { loop, tick, answer } = bench();
    tick();
    expect([loop.canRise('web'), loop.canRise('unknown')]).toEqual([true, false]);
    answer.level = 1;
    tick();
    expect(loop.canRise('web')).toBe(false);
    answer.level = 0.5;
    tick();
    loop.pause();
    expect(loop.canRise('web')).toBe(false);
  });

  it('carries a latency through to an operating point, and says why', () => {
    const { tick, points } = bench();
    const report = tick();
    expect(points).toEqual([pointAt(0.5)]);
    expect(report.services[0]).toMatchObject({
      service: 'web',
      appliedLevel: 0.5,
      decision: { controller: 'scripted', level: 0.5, reason: 'from 1' },
      snapshot: { requests: 100, at: '2023-11-14T22:13:20.000Z' },
    });
  });

  it('tells the controller what the actuator really applied, so that it does not wind up', () => {
    const { tick, inputs, answer } = bench({ clampAtLevel: 0.8 });
    answer.level = 0.3;
    tick();
    tick();
    expect(inputs.map((input) => input.appliedLevel)).toEqual([1, 0.8]);
  });

  it('keeps the decision between steps when it ticks more often than the policy steps', () => {
    const { tick, inputs, points } = bench({ intervalMs: 300 });
    for (let count = 0; count < 6; count++) tick(100);
    expect(inputs).toHaveLength(2);
    expect(points.slice(2)).toEqual([0.5, 0.5, 0.5, 0.5].map(pointAt));
  });

  it('steps at once for a service whose alarm woke it', () => {
    const { tick, inputs } = bench();
    tick(3, [{ target: 'web', kind: 'late', atNs: 0n }]);
    expect(inputs).toHaveLength(1);
    expect(inputs[0]).toMatchObject({ elapsedMs: 3, observation: { alarmed: true } });
    tick(3);
    expect(inputs).toHaveLength(1);
  });

  it('asks a law again when it asks for that, and shows it all that came since', () => {
    const { loop, tick, inputs, answer } = bench();
    const againMs = () => Number(loop.againNs) / NS_PER_MS;
    tick();
    expect(loop.againNs).toBeNull();
    answer.againMs = 20;
    const { atMs } = tick(20, [{ target: 'web', kind: 'late', atNs: 0n }]);
    expect(againMs()).toBe(atMs + 20);
    tick(15, [], true);
    expect(inputs).toHaveLength(2);
    tick(5, [], true);
    expect(inputs).toHaveLength(3);
    // The early tick in between was not shown to the law: it is part of what is new.
    expect(inputs[2]).toMatchObject({ elapsedMs: 20, observation: { alarmed: false, latest: { windowMs: 200 } } });
    expect(againMs()).toBe(atMs + 40);
    delete answer.againMs;
    tick(20, [], true);
    expect(inputs).toHaveLength(4);
    expect(loop.againNs).toBeNull();
  });

  it.each([0, -5, Number.NEGATIVE_INFINITY])('is not made to spin by a law that asks for %d ms', (againMs) => {
    const { loop, tick, answer } = bench();
    answer.againMs = againMs;
    const { atMs } = tick();
    expect(Number(loop.againNs) / NS_PER_MS).toBe(atMs + 10);
  });

  it.each([Number.NaN, Infinity])('takes %d ms for no wish to be asked again', (againMs) => {
    const { loop, tick, answer } = bench();
    answer.againMs = againMs;
    tick();
    expect(loop.againNs).toBeNull();
  });

  it.each(['pause', 'overrun'] as const)('asks no law again after a %s', (what) => {
    const { loop, tick, answer } = bench();
    answer.againMs = 10;
    tick();
    if (what === 'pause') loop.pause();
    else loop.overrun(true);
    tick(10, [], true);
    expect(loop.againNs).toBeNull();
  });

  it('puts no step off for an alarm just before it', () => {
    const { tick, inputs } = bench();
    tick();
    tick(95, [{ target: 'web', kind: 'late', atNs: 0n }]);
    tick(5);
    expect(inputs).toHaveLength(3);
  });

  it('goes to full speed on pause, stays there, and takes over from there on resume', () => {
    const { loop, tick, points, inputs } = bench();
    tick();
    loop.pause();
    expect(points.at(-1)).toEqual(pointAt(1));
    const report = tick();
    expect(report).toMatchObject({ paused: true, services: [{ appliedLevel: 1 }] });
    expect(inputs).toHaveLength(1);
    loop.resume();
    expect(tick().services[0]!.decision.reason).toBe('from 1');
  });

  it('goes to the highest level allowed while it cannot keep time, asks no controller, and takes over from there', () => {
    const { loop, tick, points, inputs } = bench();
    tick();
    loop.overrun(true);
    const report = tick(900);
    expect(points.at(-1)).toEqual(pointAt(1));
    expect(report.services[0]!.decision).toMatchObject({
      level: 1,
      reason: 'the loop cannot keep time: the highest level allowed',
    });
    expect(tick(900).applied.point).toEqual(pointAt(1));
    expect(inputs).toHaveLength(1);
    loop.overrun(false);
    expect(tick().services[0]!.decision).toMatchObject({ level: 0.5, reason: 'from 1' });
  });

  it('stays paused through an overrun, whose end is not the end of the pause', () => {
    const { loop, tick, inputs } = bench();
    loop.pause();
    loop.overrun(true);
    tick();
    loop.overrun(false);
    expect(tick()).toMatchObject({ paused: true, services: [{ appliedLevel: 1 }] });
    expect(inputs).toHaveLength(0);
  });

  it('makes silence of a sensor that fails, and recovers', () => {
    const { tick, see, inputs } = bench();
    see(new Error('map is gone'));
    const report = tick();
    expect(report.faults).toEqual(['sensor read failed: map is gone']);
    expect(inputs.at(-1)!.observation.health).toBe('silence');
    see(snapshotOf(5, NS_PER_MS));
    expect(tick().faults).toEqual([]);
    expect(inputs.at(-1)!.observation.health).toBe('active');
  });

  it('answers a controller that throws with full speed, and counts it', () => {
    const { tick, answer, points } = bench();
    answer.throws = true;
    expect(tick().faults).toEqual(['web: controller scripted failed: lost']);
    expect(points.at(-1)).toEqual(pointAt(1));
  });

  it('says how long after the kernel’s alarm the point was applied', () => {
    const { tick } = bench();
    expect(tick(100)).not.toHaveProperty('alarms');
    const report = tick(5, [{ target: 'web', kind: 'late', atNs: BigInt(103 * NS_PER_MS) }]);
    expect(report.alarms).toEqual([{ target: 'web', kind: 'late', answeredMs: 2 }]);
  });

  it('leaves what can wait out of the read that an alarm asks for', () => {
    const { tick, reads } = bench();
    tick();
    tick(3, [{ target: 'web', kind: 'late', atNs: 0n }]);
    expect(reads).toEqual([false, true]);
  });

  it('reports what survives JSON unchanged', () => {
    const report = bench().tick();
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });
});

describe('GovernorLoop.change()', () => {
  it('lets another controller take over from the level that the machine is at, with the next tick', () => {
    const { service, controllerOf, change, tick, points } = bench({ clampAtLevel: 0.6 });
    tick();
    change([{ ...service, controller: controllerOf('other') }]);
    expect(points).toHaveLength(1);
    const report = tick(10);
    expect(report.services[0]!.decision).toMatchObject({ controller: 'other', reason: 'from 0.6' });
    expect(points.at(-1)).toEqual(points[0]);
  });

  it('keeps what was observed while the objective stays, and starts afresh with another', () => {
    const { service, controllerOf, change, tick, see } = bench();
    see(snapshotOf(50, NS_PER_MS));
    tick();
    change([{ ...service, slo: { ...SLO }, controller: controllerOf('other') }]);
    const kept = tick().services[0]!;
    expect([kept.observation.requests, kept.compliance.requests]).toEqual([100, 100]);
    change([{ ...service, slo: { ...SLO, latencyNs: 1 } }]);
    const fresh = tick().services[0]!;
    expect([fresh.observation.requests, fresh.compliance.requests, fresh.slo.latencyNs]).toEqual([50, 50, 1]);
  });

  it('does not disturb a service that stays the same', () => {
    const { service, controllerOf, change, tick, inputs } = bench({ intervalMs: 300 });
    tick();
    change([service, { ...service, name: 'new', controller: controllerOf('new') }]);
    const report = tick(10);
    // The new one alone was asked; the sensor knows nothing of it yet.
    expect(inputs).toHaveLength(2);
    expect(inputs[1]!.observation.health).toBe('silence');
    expect(report.services.map(({ service: name }) => name)).toEqual(['web', 'new']);
  });

  it('lets a service go, and its demand with it', () => {
    const { service, controllerOf, change, tick, points } = bench();
    const greedy: Controller = {
      ...controllerOf('greedy'),
      step: (_, state) => ({ level: 0.9, state, reason: 'more' }),
    };
    change([service, { ...service, name: 'greedy', controller: greedy }]);
    tick();
    expect(points.at(-1)).toEqual(pointAt(0.9));
    change([service]);
    expect(tick().services).toHaveLength(1);
    expect(points.at(-1)).toEqual(pointAt(0.5));
  });

  it('ticks as often as the most frequent policy in force', () => {
    const { loop, service, change } = bench();
    change([{ ...service, intervalMs: 50 }]);
    expect(loop.intervalMs).toBe(50);
  });

  it('stays paused', () => {
    const { loop, service, controllerOf, change, tick, points } = bench();
    loop.pause();
    change([{ ...service, controller: controllerOf('other') }]);
    tick();
    expect(points.at(-1)).toEqual(pointAt(1));
    loop.resume();
    expect(tick().services[0]!.decision.controller).toBe('other');
  });
});

describe('GovernorLoop with a schedule', () => {
  it('goes over to the law in force when the wall clock says so, back and forth', () => {
    const day: Law = {
      controller: { name: 'day', initial: () => 0, step: () => ({ level: 0.8, state: 0, reason: 'day' }) },
      intervalMs: 100,
      limits: { min: 0, max: 1 },
      schedule: { rule: '0 6 * * *', since: '2026-01-01T06:00:00.000Z', next: null },
    };
    const night: Law = { ...day, limits: { min: 0, max: 0.4 }, intervalMs: 500 };
    const { loop, tick, setWall } = bench({ lawAt: (wallMs) => (wallMs < 1000 ? day : night) });
    setWall(0);
    expect(tick().services[0]!.decision).toMatchObject({ level: 0.8, schedule: day.schedule });
    setWall(1000);
    expect(tick().services[0]!.decision.level).toBe(0.4);
    expect(loop.intervalMs).toBe(500);
    // An operator sets the clock back.
    setWall(999);
    expect(tick(10).services[0]!.decision.level).toBe(0.8);
  });
});

describe('GovernorLoop with a controller that fails', () => {
  it('puts the fallback in its place, shows it, and ends it with the next change', () => {
    const { service, controllerOf, change, tick, answer } = bench();
    const fallback: Controller = {
      name: 'spare',
      initial: () => 0,
      step: () => ({ level: 0.7, state: 0, reason: 'spare' }),
    };
    change([{ ...service, fallback }]);
    answer.throws = true;
    const faults = [tick(), tick(), tick(), tick()].map((report) => report.faults.length);
    expect(faults).toEqual([1, 1, 1, 0]);
    expect(tick().services[0]!.decision).toMatchObject({
      controller: 'spare',
      level: 0.7,
      failed: 'controller scripted failed: lost',
    });
    answer.throws = false;
    change([{ ...service, controller: controllerOf('mended') }]);
    expect(tick().services[0]!.decision).toMatchObject({ controller: 'mended', level: 0.5 });
    expect(tick().services[0]!.decision).not.toHaveProperty('failed');
  });

  describe('rests', () => {
    const idle = snapshotOf(0, 0);
    /** At rest after three ticks: the first one writes. */
    function resting(options: Parameters<typeof bench>[0] = {}) {
      const parts = bench(options);
      parts.see(idle);
      parts.answer.rests = true;
      const rested = [1, 2, 3].map(() => {
        parts.tick();
        return parts.loop.resting;
      });
      return { ...parts, rested };
    }

    it('once two ticks in a row have found nothing to do, and nothing comes', () => {
      expect(bench().loop.resting).toBe(false);
      expect(resting().rested).toEqual([false, false, true]);
    });

    it('not while the law wants to be asked', () => {
      const { loop, answer, tick } = resting();
      delete answer.rests;
      tick();
      expect(loop.resting).toBe(false);
      answer.rests = true;
      answer.againMs = 50;
      for (let ticks = 0; ticks < 3; ticks++) tick();
      expect(loop.resting).toBe(false);
    });

    it('not while requests come, or nothing is known of them', () => {
      for (const other of [snapshotOf(1, NS_PER_MS), { ...idle, health: 'stall', inFlight: 1 }, new Error('gone')]) {
        const { loop, see, tick } = resting();
        see(other as Snapshot);
        tick();
        expect(loop.resting).toBe(false);
        tick();
        expect(loop.resting).toBe(false);
      }
    });

    it('no more from the alarm of a request on, until two ticks have come by the clock', () => {
      const { loop, tick } = resting();
      tick(3, [{ target: 'web', kind: 'arrival-after-idle', atNs: 0n }]);
      expect(loop.resting).toBe(false);
      tick();
      expect(loop.resting).toBe(false);
      tick();
      expect(loop.resting).toBe(true);
    });

    it('not while something is written', () => {
      const { loop, answer, tick } = resting();
      answer.level = 0.4;
      tick();
      expect(loop.resting).toBe(false);
    });

    it('not after a change, a pause or an overrun, before the law has been asked', () => {
      const changed = resting();
      changed.change([{ ...changed.service, controller: changed.controllerOf('other') }]);
      expect(changed.loop.resting).toBe(false);
      // What the change has aimed the sensor at may not have armed its alarm yet.
      changed.tick();
      expect(changed.loop.resting).toBe(false);
      const paused = resting();
      paused.loop.pause();
      expect(paused.loop.resting).toBe(false);
      paused.loop.resume();
      expect(paused.loop.resting).toBe(false);
      const late = resting();
      late.loop.overrun(true);
      expect(late.loop.resting).toBe(false);
    });

    it('never where nothing can wake it', () => {
      expect(resting({ alarms: false }).rested).toEqual([false, false, false]);
    });
  });
});
