import { describe, expect, it } from 'vitest';
import type { Actuator, Applied } from '../../src/core/actuator.ts';
import type { Controller, ControllerInput } from '../../src/core/controller.ts';
import type { Machine, OperatingPoint } from '../../src/core/machine.ts';
import type { Planner } from '../../src/core/planner.ts';
import type { Alarm, Sensor, Snapshot } from '../../src/core/sensor.ts';
import { cpuId, kiloHertz, NS_PER_MS } from '../../src/core/units.ts';
import { GovernorLoop } from '../../src/loop/governor-loop.ts';
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
function bench(options: { clampAtLevel?: number; intervalMs?: number } = {}) {
  let nowNs = 0n;
  let next: Snapshot | Error = snapshotOf(100, NS_PER_MS);
  const points: OperatingPoint[] = [];
  const inputs: ControllerInput[] = [];
  const answer = { level: 0.5, throws: false };
  const sensor: Sensor = {
    method: 'simulated',
    unit: 'turn',
    read: () => {
      if (next instanceof Error) throw next;
      return [next];
    },
    close: () => {},
  };
  const actuator: Actuator = {
    machine,
    method: 'test',
    engage: () => {},
    apply: (point): Applied => {
      points.push(point);
      const askedKhz = point.frequencyKhz['policy0']!;
      const appliedKhz = kiloHertz(Math.max(askedKhz, (options.clampAtLevel ?? 0) * MAX_KHZ));
      return {
        point,
        writes: 1,
        frequencies: [
          { domain: 'policy0', askedKhz, appliedKhz, outcome: askedKhz === appliedKhz ? 'applied' : 'clamped' },
        ],
      };
    },
    release: () => [],
  };
  const controller: Controller<{ from: number }> = {
    name: 'scripted',
    initial: (level) => ({ from: level }),
    step: (input, state) => {
      inputs.push(input);
      if (answer.throws) throw new Error('lost');
      return { level: answer.level, state, reason: `from ${state.from}` };
    },
  };
  const loop = new GovernorLoop({
    services: [
      { name: 'web', slo: SLO, controller, intervalMs: options.intervalMs ?? 100, limits: { min: 0.2, max: 1 } },
    ],
    sensor,
    planner,
    actuator,
    clock: { monotonicNs: () => nowNs, wallMs: () => 1_700_000_000_000 },
    mode: 'simulate',
  });
  return {
    loop,
    points,
    inputs,
    answer,
    see: (snapshot: Snapshot | Error) => (next = snapshot),
    tick: (afterMs = 100, alarms: readonly Alarm[] = []) => {
      nowNs += BigInt(afterMs * NS_PER_MS);
      return loop.tick(nowNs, alarms);
    },
  };
}

describe('GovernorLoop', () => {
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

  it('reports what survives JSON unchanged', () => {
    const report = bench().tick();
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });
});
