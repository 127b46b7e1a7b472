import { describe, expect, it } from 'vitest';
import { cpuId, kiloHertz } from '../../src/core/units.ts';
import type { ServiceModel } from '../../src/plant/service-model.ts';
import { Simulation } from '../../src/plant/simulation.ts';
import { plainServer } from './support/servers.ts';

const MS = 1e6;
const S = 1e9;

const service = (overrides: Partial<ServiceModel> = {}): ServiceModel => ({
  name: 'cache',
  sloLatencyNs: 1.5 * MS,
  arrivals: { kind: 'regular', ratePerS: 1000 },
  demand: { kind: 'deterministic', meanNs: 0.5 * MS },
  frequencyBoundRatio: 1,
  dispatch: { kind: 'central' },
  ...overrides,
});

const simulation = (services: readonly ServiceModel[], cores = 2, startWallMs?: number) =>
  new Simulation({
    server: plainServer(cores, { transitionLatencyNs: 50_000 }),
    services,
    seed: 1,
    ...(startWallMs !== undefined && { startWallMs }),
  });

describe('Simulation', () => {
  it('has a clock that only advanceTo() moves', () => {
    const simulated = simulation([service()], 2, 1_700_000_000_000);
    expect(simulated.clock.monotonicNs()).toBe(0n);
    simulated.advanceTo(1.5 * S);
    expect(simulated.clock.monotonicNs()).toBe(1_500_000_000n);
    expect(simulated.clock.wallMs()).toBe(1_700_000_001_500);
    expect(() => simulated.advanceTo(S)).toThrow(RangeError);
  });
});

describe('the simulated sensor', () => {
  it('reads a window as the real one does: waits, handling, counts, what is on its way, CPU time', () => {
    // 0.5 ms of work every 1 ms, on one core: arrivals at 1, 2, … 100 ms.
    const simulated = simulation([service()], 1);
    simulated.advanceTo(100.25 * MS);
    const [snapshot] = simulated.sensor.read();
    expect(snapshot).toMatchObject({
      target: 'cache',
      method: 'simulated',
      unit: 'turn',
      atNs: 100_250_000n,
      windowNs: 100.25 * MS,
      health: 'active',
      arrivals: 100,
      requests: 99,
      overSlo: 0,
      abandoned: 0,
      dropped: 0,
      inFlight: 1,
      oldestInFlightNs: 0.25 * MS,
      busiestThreadRatio: null,
    });
    expect(snapshot!.latency.meanNs).toBeCloseTo(0.5 * MS, 3);
    expect(snapshot!.socketWait.sumNs).toBe(0);
    expect(snapshot!.handlingTime.sumNs).toBeCloseTo(99 * 0.5 * MS, 0);
    expect(snapshot!.cpuTimeNs).toBeCloseTo(99 * 0.5 * MS + 0.25 * MS, 0);
    simulated.advanceTo(200.25 * MS);
    expect(simulated.sensor.read()[0]).toMatchObject({ windowNs: 100 * MS, arrivals: 100, requests: 100 });
  });

  it('counts what is over the bound exactly', () => {
    const burst = service({ arrivals: { kind: 'replay', arrivalsNs: [0, 0, 0, 0, 0] } });
    const simulated = simulation([burst], 1);
    simulated.advanceTo(S);
    // 0.5, 1, 1.5, 2, 2.5 ms against 1.5 ms.
    expect(simulated.sensor.read()[0]).toMatchObject({ requests: 5, overSlo: 2 });
  });

  it('tells idle from stalled from slow', () => {
    const slow = service({
      arrivals: { kind: 'replay', arrivalsNs: [0.5 * S] },
      demand: { kind: 'deterministic', meanNs: 3 * S },
    });
    const simulated = simulation([slow]);
    const healthAt = (ns: number) => {
      simulated.advanceTo(ns);
      return simulated.sensor.read()[0]!.health;
    };
    expect([0.4, 0.6, 1, 2, 3, 3.6, 4].map((s) => healthAt(s * S))).toEqual([
      'idle',
      'active',
      'active',
      'stall',
      'stall',
      'active',
      'idle',
    ]);
  });

  it('looks at busy cores once a second: the mean where they share a queue, the busiest where they do not', () => {
    const central = simulation([service()], 2);
    central.advanceTo(0.29 * S);
    expect(central.sensor.read()[0]!.busiestThreadRatio).toBeNull();
    // The first look comes sooner.
    central.advanceTo(0.3 * S);
    expect(central.sensor.read()[0]!.busiestThreadRatio).toBeCloseTo(0.25, 2);
    central.advanceTo(1.3 * S);
    expect(central.sensor.read()[0]!.busiestThreadRatio).toBeCloseTo(0.25, 2);
    central.advanceTo(1.5 * S);
    expect(central.sensor.read()[0]!.busiestThreadRatio).toBeCloseTo(0.25, 2);
    const hashed = simulation([service({ dispatch: { kind: 'connection-hash', connections: 1 } })], 2);
    hashed.advanceTo(S);
    expect(hashed.sensor.read()[0]!.busiestThreadRatio).toBeCloseTo(0.5, 2);
  });

  it('reads services apart, in the order given', () => {
    const simulated = simulation([service(), service({ name: 'other', arrivals: { kind: 'regular', ratePerS: 500 } })]);
    simulated.advanceTo(S);
    expect(simulated.sensor.read().map(({ target, arrivals }) => [target, arrivals])).toEqual([
      ['cache', 1000],
      ['other', 500],
    ]);
  });
});

describe('simulated alarms', () => {
  const DEMAND_NS = 8192;
  const BURST_NS = 200 * MS;
  const alarms = { lateBudget: 2, lateRatio: 0.02, waitBudgetNs: 80_000, waitingRatio: 0.005 };

  /** On one core: so many a ms for 100 ms, and 200 of them at once later. */
  function beforeBurst(perMs: number) {
    const before = Array.from({ length: 100 * perMs }, (_, index) => (index * MS) / perMs);
    const burst = Array.from({ length: 200 }, () => BURST_NS);
    const few = service({
      sloLatencyNs: 160_000,
      arrivals: { kind: 'replay', arrivalsNs: [...before, ...burst] },
      demand: { kind: 'deterministic', meanNs: DEMAND_NS },
    });
    const simulated = new Simulation({ server: plainServer(1), services: [few], seed: 1, alarms });
    /** Its kind, and how many of the burst had been served by then. */
    const next = () =>
      simulated
        .advanceToAlarm(BURST_NS + 100 * MS)
        .map(({ kind }) => ({ kind, served: Math.round((simulated.nowNs - BURST_NS) / DEMAND_NS) }));
    return { simulated, next };
  }

  it('come of the first that waits and of the second that is late, up to 10 a ms', () => {
    const { simulated, next } = beforeBurst(10);
    simulated.advanceTo(100 * MS);
    simulated.sensor.read();
    // The eleventh of them waits for 82 us until ten have been served, the 20th is done after 164 us.
    expect([next(), next(), next()]).toEqual([[{ kind: 'waiting', served: 10 }], [{ kind: 'late', served: 21 }], []]);
  });

  it.each([
    ['at once', []],
    ['in urgent reads before', [30, 60]],
  ])('take a share of very many, which were seen %s', (_, urgentMs) => {
    const { simulated, next } = beforeBurst(50);
    for (const ms of urgentMs) {
      simulated.advanceTo(ms * MS);
      simulated.sensor.read(true);
    }
    simulated.advanceTo(100 * MS);
    simulated.sensor.read();
    // 20 that waited, and 80 that are late.
    expect([next(), next(), next()]).toEqual([[{ kind: 'waiting', served: 29 }], [{ kind: 'late', served: 99 }], []]);
  });

  it('come anew of as many that wait from an urgent read on that asks for it', () => {
    const { simulated, next } = beforeBurst(50);
    simulated.advanceTo(100 * MS);
    simulated.sensor.read();
    expect(next()).toEqual([{ kind: 'waiting', served: 29 }]);
    simulated.sensor.read(true, true);
    expect(next()).toEqual([{ kind: 'waiting', served: 49 }]);
  });
});

describe('the simulated actuator', () => {
  it('applies a frequency after the transition latency, and says what it made of it', () => {
    const simulated = simulation([service()]);
    const { actuator } = simulated;
    actuator.engage();
    const apply = (khz: number) => actuator.apply({ frequencyKhz: { policy0: kiloHertz(khz) }, cpus: {} });
    expect(apply(1_500_000)).toMatchObject({
      writes: 1,
      frequencies: [{ domain: 'policy0', askedKhz: 1_500_000, appliedKhz: 1_500_000, outcome: 'applied' }],
      point: { frequencyKhz: { policy0: 1_500_000 }, cpus: { cache: [0, 1] } },
    });
    expect(simulated.transitions).toBe(0);
    simulated.advanceTo(MS);
    expect(simulated.transitions).toBe(1);
    expect(apply(1_500_000)).toMatchObject({ writes: 0, frequencies: [{ outcome: 'unchanged' }] });
    expect(apply(9_000_000)).toMatchObject({ frequencies: [{ appliedKhz: 2_000_000, outcome: 'clamped' }] });
    expect(apply(1)).toMatchObject({ frequencies: [{ appliedKhz: 1_000_000, outcome: 'clamped' }] });
  });

  it('rounds down to the steps that the hardware has, as a cap does', () => {
    const stepsKhz = [1_000_000, 1_400_000, 2_000_000].map(kiloHertz);
    const { actuator } = new Simulation({ server: plainServer(1, { stepsKhz }), services: [service()], seed: 1 });
    const applied = [1_399_999, 1_400_000, 1_999_999].map(
      (khz) => actuator.apply({ frequencyKhz: { policy0: kiloHertz(khz) }, cpus: {} }).frequencies[0]!.appliedKhz,
    );
    expect(applied).toEqual([1_000_000, 1_400_000, 1_400_000]);
  });

  it('moves services between CPUs, and leaves them where the list is empty or unknown', () => {
    const { actuator } = simulation([service(), service({ name: 'other' })], 4);
    const point = (cpus: Record<string, number[]>) =>
      actuator.apply({
        frequencyKhz: {},
        cpus: Object.fromEntries(Object.entries(cpus).map(([name, list]) => [name, list.map(cpuId)])),
      }).point.cpus;
    expect(point({ cache: [1, 2] })).toEqual({ cache: [1, 2], other: [0, 1, 2, 3] });
    expect(point({ cache: [], other: [99], nobody: [0] })).toEqual({ cache: [1, 2], other: [0, 1, 2, 3] });
  });

  it('puts frequencies back', () => {
    const simulated = simulation([service()]);
    expect(simulated.actuator.release('original')).toEqual([{ control: 'policy0', outcome: 'already' }]);
    simulated.actuator.apply({ frequencyKhz: { policy0: kiloHertz(1_000_000) }, cpus: {} });
    expect(simulated.actuator.release('leave')).toEqual([{ control: 'policy0', outcome: 'already' }]);
    expect(simulated.actuator.release('original')).toEqual([{ control: 'policy0', outcome: 'restored' }]);
    simulated.advanceTo(MS);
    expect(simulated.transitions).toBe(0);
  });
});
