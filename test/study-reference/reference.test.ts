import { describe, expect, it } from 'vitest';
import type { Snapshot } from '../../src/core/sensor.ts';
import type { Slo } from '../../src/core/slo.ts';
import { type KiloHertz, kiloHertz } from '../../src/core/units.ts';
import { loadTraces } from '../../src/plant/load-trace.ts';
import { listQueues, listRequests } from '../../src/plant/requests.ts';
import { xeonSilver4114 } from '../../src/plant/servers.ts';
import type { ServiceModel } from '../../src/plant/service-model.ts';
import { Plant } from '../../src/plant/plant.ts';
import { Simulation } from '../../src/plant/simulation.ts';
import { type ClairvoyantInput, clairvoyantSchedule } from '../../src/study/reference/clairvoyant.ts';
import { energyLowerBound } from '../../src/study/reference/lower-bound.ts';
import { withCores } from '../../src/study/scenario.ts';
import { plainPower, plainServer } from '../plant/support/servers.ts';

const MS = 1e6;
const S = 1e9;
const CORES = 4;
const STEPS_KHZ = [1_000_000, 1_200_000, 1_400_000, 1_600_000, 1_800_000, 2_000_000].map(kiloHertz);
const slo: Slo = { quantile: 0.99, latencyNs: 10 * MS, windowMs: 60_000 };

const server = plainServer(CORES, {
  stepsKhz: STEPS_KHZ,
  power: {
    ...plainPower(CORES),
    idleCoreWatts: 0.3,
    voltages: [
      { frequencyKhz: 1_000_000, volts: 0.7 },
      { frequencyKhz: 2_000_000, volts: 1 },
    ],
  },
});

const service = (overrides: Partial<ServiceModel> = {}): ServiceModel => ({
  name: 'service',
  sloLatencyNs: slo.latencyNs,
  arrivals: { kind: 'poisson', ratePerS: 3000 },
  demand: { kind: 'exponential', meanNs: MS },
  frequencyBoundRatio: 0.8,
  dispatch: { kind: 'central' },
  ...overrides,
});

const input = (overrides: Partial<ClairvoyantInput> = {}): ClairvoyantInput => ({
  server,
  service: service(),
  seed: 1,
  slo,
  intervalNs: 100 * MS,
  durationNs: 4 * S,
  ...overrides,
});

/** What a schedule costs on the plant, and whether it keeps the SLO. */
function runOf(
  { server: machine, service: served, seed, intervalNs, durationNs }: ClairvoyantInput,
  schedule: readonly KiloHertz[],
) {
  const simulation = new Simulation({ server: machine, services: [served], seed });
  schedule.forEach((khz, index) => {
    const frequencyKhz = Object.fromEntries(machine.machine.domains.map(({ id }) => [id, khz]));
    simulation.actuator.apply({ frequencyKhz, cpus: {} });
    simulation.advanceTo(Math.min(durationNs, (index + 1) * intervalNs));
  });
  const [{ requests, overSlo }] = simulation.sensor.read() as [Snapshot];
  return { joules: simulation.energyJoules, meetsSlo: overSlo <= (1 - slo.quantile) * requests };
}

const boundOf = ({ server: machine, service: served, seed, durationNs }: ClairvoyantInput) =>
  energyLowerBound({
    server: machine,
    requests: listRequests(served, seed, durationNs),
    frequencyBoundRatio: served.frequencyBoundRatio,
    slo,
    durationNs,
  }).joules;

/** Connections that belong to cores, 1, 2, 1 and 2 of them. */
const cache = (overrides: Partial<ClairvoyantInput> = {}, served: Partial<ServiceModel> = {}): ClairvoyantInput => {
  const latencyNs = 6 * MS;
  return input({
    slo: { ...slo, latencyNs },
    service: service({
      sloLatencyNs: latencyNs,
      arrivals: { kind: 'poisson', ratePerS: 4000 },
      demand: { kind: 'lognormal', meanNs: 0.4 * MS, sigma: 0.3 },
      dispatch: { kind: 'connection-hash', connections: 6 },
      ...served,
    }),
    ...overrides,
  });
};

const constant = (khz: KiloHertz, { intervalNs, durationNs }: ClairvoyantInput) =>
  new Array<KiloHertz>(Math.ceil(durationNs / intervalNs)).fill(khz);

describe('listRequests()', () => {
  it('lists the very requests that the plant brings', () => {
    const { arrivalsNs, demandsNs } = listRequests(service(), 7, S);
    const simulation = new Simulation({ server, services: [service()], seed: 7 });
    simulation.advanceTo(S);
    const [snapshot] = simulation.sensor.read();
    expect(snapshot!.arrivals).toBe(arrivalsNs.length);
    expect(demandsNs).toHaveLength(arrivalsNs.length);
  });

  it('cannot list what clients ask who wait for replies', () => {
    const closed = service({ arrivals: { kind: 'closed', clients: 1, thinkTime: { kind: 'exponential', meanNs: 1 } } });
    expect(() => listRequests(closed, 1, S)).toThrow(RangeError);
  });
});

describe('listQueues()', () => {
  it('lists by core what the plant brings to this core', () => {
    const arrivalsNs: number[][] = Array.from({ length: CORES }, () => []);
    const { service: served } = cache();
    const plant = new Plant({
      server,
      services: [served],
      seed: 7,
      onCompletion: (_, arrivalNs, _startNs, _completionNs, core) => arrivalsNs[core]!.push(arrivalNs),
    });
    plant.advanceTo(S);
    const lists = listQueues(served, 7, S, CORES);
    expect(lists.reduce((sum, list) => sum + list.arrivalsNs.length, 0)).toBe(
      listRequests(served, 7, S).arrivalsNs.length,
    );
    lists.forEach((list, core) => {
      // Some are still on their way.
      const completed = arrivalsNs[core]!;
      expect(completed.length).toBeGreaterThan(0);
      expect(Array.from(list.arrivalsNs.subarray(0, completed.length))).toEqual(completed);
    });
  });
});

describe('the clairvoyant reference and the lower bound', () => {
  const cases: readonly (readonly [string, ClairvoyantInput])[] = [
    ['constant load', input()],
    ['a step', input({ service: service({ trace: loadTraces['step']!(4 * S) }), seed: 2 })],
    ['a flash crowd', input({ service: service({ trace: loadTraces['flash-crowd']!(4 * S) }), seed: 3 })],
    [
      'long and short requests',
      input({
        service: service({ demand: { kind: 'bimodal', shortNs: 0.5 * MS, longNs: 4 * MS, longRatio: 0.1 } }),
        seed: 4,
      }),
    ],
    ['queues that belong to cores', cache({ seed: 6 })],
    ['the same at a step', cache({ seed: 7 }, { trace: loadTraces['step']!(4 * S) })],
    ['an idle machine', input({ service: service({ arrivals: { kind: 'poisson', ratePerS: 20 } }), seed: 5 })],
  ];
  it.each(cases)('bracket what can be done: %s', (_, each) => {
    const reference = clairvoyantSchedule(each);
    const performance = runOf(each, constant(STEPS_KHZ.at(-1)!, each));
    expect(performance.meetsSlo).toBe(true);
    expect(reference.meetsSlo).toBe(true);
    expect(reference.lateRatio).toBeLessThanOrEqual(0.01);
    expect(reference.joules).toBeLessThanOrEqual(performance.joules);
    const bound = boundOf(each);
    expect(bound).toBeLessThanOrEqual(reference.joules);
    // Not a bound that says nothing: static power and idle cores alone are less.
    expect(bound).toBeGreaterThan((10 + 0.3 * CORES) * 4);
    for (const khz of STEPS_KHZ) {
      const fixed = runOf(each, constant(khz, each));
      if (!fixed.meetsSlo) continue;
      expect(bound).toBeLessThanOrEqual(fixed.joules);
      // But for rounding.
      expect(reference.joules, `against ${khz} kHz throughout`).toBeLessThanOrEqual(fixed.joules + 1e-6);
    }
  });

  const steps = loadTraces['step']!(0.4 * S);
  it.each([
    ['one queue', input({ durationNs: 0.4 * S, service: service({ trace: steps }) })],
    ['queues that belong to cores', cache({ durationNs: 0.4 * S }, { trace: steps })],
    [
      'the same with wake-ups and a transition latency',
      cache(
        { durationNs: 0.4 * S, server: { ...server, idleStates: xeonSilver4114.idleStates, transitionLatencyNs: MS } },
        { trace: steps },
      ),
    ],
  ])('the reference comes near the best of all schedules, where all can be tried: %s', (_, few) => {
    let best = Infinity;
    const tryAll = (prefix: readonly KiloHertz[]): void => {
      if (prefix.length < 4) {
        for (const khz of STEPS_KHZ) tryAll([...prefix, khz]);
        return;
      }
      const { joules, meetsSlo } = runOf(few, prefix);
      if (meetsSlo) best = Math.min(best, joules);
    };
    tryAll([]);
    const reference = clairvoyantSchedule(few);
    expect(reference.meetsSlo).toBe(true);
    expect(reference.joules).toBeGreaterThanOrEqual(best - 1e-9);
    expect(reference.joules).toBeLessThan(best * 1.001);
  });

  it('a queue of its own is a central one where there is one core', () => {
    const alone = cache(
      { server: withCores(server, 1), durationNs: S },
      { arrivals: { kind: 'poisson', ratePerS: 1250 } },
    );
    const central = { ...alone, service: { ...alone.service, dispatch: { kind: 'central' as const } } };
    const reference = clairvoyantSchedule(alone);
    expect(reference.meetsSlo).toBe(true);
    expect(new Set(reference.frequenciesKhz).size).toBeGreaterThan(1);
    expect(reference).toEqual(clairvoyantSchedule(central));
  });

  it('the reference is the same for the same seed', () => {
    const each = cache({ durationNs: S });
    expect(clairvoyantSchedule(each)).toEqual(clairvoyantSchedule(each));
    expect(clairvoyantSchedule(each).joules).not.toBe(clairvoyantSchedule({ ...each, seed: 2 }).joules);
  });

  it('the reference runs at full speed where nothing keeps the SLO', () => {
    const hopeless = input({ service: service({ arrivals: { kind: 'poisson', ratePerS: 6000 } }), durationNs: S });
    const reference = clairvoyantSchedule(hopeless);
    expect(reference.meetsSlo).toBe(false);
    expect(new Set(reference.frequenciesKhz)).toEqual(new Set([2_000_000]));
  });

  it('the bound is tight where all cores must run at full speed all the time', () => {
    // Four requests every millisecond, each of one millisecond at full speed.
    const arrivalsNs = Array.from({ length: 4 * 4000 }, (_, i) => Math.floor(i / 4) * MS);
    const saturated = input({
      service: service({ arrivals: { kind: 'replay', arrivalsNs }, demand: { kind: 'deterministic', meanNs: MS } }),
    });
    const fullSpeed = runOf(saturated, constant(STEPS_KHZ.at(-1)!, saturated));
    const bound = boundOf(saturated);
    expect(bound).toBeLessThanOrEqual(fullSpeed.joules);
    expect(bound).toBeGreaterThan(0.97 * fullSpeed.joules);
  });

  it('the bound holds where a slow core draws less than an idle one, and over a range without steps', () => {
    const odd = { ...plainServer(CORES), power: { ...server.power, idleCoreWatts: 1.5 } };
    const requests = listRequests(service(), 6, 2 * S);
    const bound = energyLowerBound({ server: odd, requests, frequencyBoundRatio: 0.8, slo, durationNs: 2 * S }).joules;
    for (const khz of [1_500_000, 1_800_000, 2_000_000]) {
      const simulation = new Simulation({ server: odd, services: [service()], seed: 6 });
      simulation.actuator.apply({ frequencyKhz: { policy0: kiloHertz(khz) }, cpus: {} });
      simulation.advanceTo(2 * S);
      expect(bound).toBeLessThanOrEqual(simulation.energyJoules);
    }
  });

  it('refuses what the program does not cover', () => {
    const some = service({ cpus: server.machine.cpus.slice(1) });
    expect(() => clairvoyantSchedule(input({ service: some }))).toThrow(RangeError);
  });
});
