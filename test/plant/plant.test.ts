import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cpuId, kiloHertz } from '../../src/core/units.ts';
import { Plant, type PlantOptions } from '../../src/plant/plant.ts';
import type { ServiceModel } from '../../src/plant/service-model.ts';
import { plainServer } from './support/servers.ts';

const US = 1e3;
const MS = 1e6;
const HALF_KHZ = 1_000_000;

const service = (overrides: Partial<ServiceModel> = {}): ServiceModel => ({
  name: 'cache',
  sloLatencyNs: 100 * US,
  arrivals: { kind: 'poisson', ratePerS: 150_000 },
  demand: { kind: 'exponential', meanNs: 10 * US },
  frequencyBoundRatio: 1,
  dispatch: { kind: 'central' },
  ...overrides,
});

interface Served {
  readonly service: number;
  readonly arrivalNs: number;
  readonly startNs: number;
  readonly completionNs: number;
  readonly core: number;
}

function observed(options: Omit<PlantOptions, 'onCompletion'>): { plant: Plant; served: Served[] } {
  const served: Served[] = [];
  const plant = new Plant({
    ...options,
    onCompletion: (index, arrivalNs, startNs, completionNs, core) =>
      served.push({ service: index, arrivalNs, startNs, completionNs, core }),
  });
  return { plant, served };
}

/** A hash of everything that a window shows: equal only where all of its bytes are. */
function hashOf(plant: Plant, services: number): string {
  const bytes = JSON.stringify(
    Array.from({ length: services }, (_, index) => {
      const { latency, socketWait, handlingTime, ...counts } = plant.takeWindow(index);
      const flat = [latency, socketWait, handlingTime].map((histogram) => [histogram.sumNs, ...histogram.counts]);
      return [counts, flat, plant.inFlight(index), plant.oldestArrivalNs(index)];
    }),
  );
  return createHash('sha256').update(bytes).digest('hex');
}

describe('Plant, one request at a time', () => {
  const single = (overrides: Partial<ServiceModel> = {}) =>
    service({
      arrivals: { kind: 'replay', arrivalsNs: [100] },
      demand: { kind: 'deterministic', meanNs: 1000 },
      ...overrides,
    });

  it('serves what arrives, and counts what is on its way', () => {
    const { plant, served } = observed({ server: plainServer(1), services: [single()], seed: 1 });
    plant.advanceTo(600);
    expect(plant.inFlight(0)).toBe(1);
    expect(plant.oldestArrivalNs(0)).toBe(100);
    expect(plant.busyNs(0, 0)).toBe(500);
    plant.advanceTo(1100);
    expect(served).toEqual([{ service: 0, arrivalNs: 100, startNs: 100, completionNs: 1100, core: 0 }]);
    expect(plant.inFlight(0)).toBe(0);
    expect(plant.oldestArrivalNs(0)).toBe(Infinity);
    expect(plant.busyNs(0, 0)).toBe(1000);
  });

  it('stretches only the frequency-bound share', () => {
    const { plant, served } = observed({
      server: plainServer(1),
      services: [single({ frequencyBoundRatio: 0.25 })],
      seed: 1,
    });
    plant.requestFrequency(0, HALF_KHZ);
    plant.advanceTo(MS);
    expect(served[0]!.completionNs).toBe(100 + 250 * 2 + 750);
  });

  it('changes speed in the middle of a request, after the transition latency', () => {
    const server = plainServer(1, { transitionLatencyNs: 100 });
    const { plant, served } = observed({ server, services: [single()], seed: 1 });
    plant.advanceTo(300);
    plant.requestFrequency(0, HALF_KHZ);
    expect(plant.frequencyKhz(0)).toBe(2_000_000);
    plant.advanceTo(400);
    expect(plant.frequencyKhz(0)).toBe(HALF_KHZ);
    plant.advanceTo(MS);
    // 300 of 1,000 done at full speed, the other 700 at half.
    expect(served[0]!.completionNs).toBe(400 + 1400);
    expect(plant.transitions).toBe(1);
  });

  it('lets a newer request for a frequency replace the one under way, and takes it back', () => {
    const { plant } = observed({
      server: plainServer(1, { transitionLatencyNs: 100 }),
      services: [single()],
      seed: 1,
    });
    plant.requestFrequency(0, HALF_KHZ);
    plant.advanceTo(50);
    plant.requestFrequency(0, 2_000_000);
    plant.advanceTo(MS);
    expect(plant.frequencyKhz(0)).toBe(2_000_000);
    expect(plant.transitions).toBe(0);
  });

  it('changes the speed of a request whose core still wakes up from its first instruction on', () => {
    const idleStates = [{ name: 'C6', afterNs: 0, wakeNs: 500, watts: 0 }];
    const { plant, served } = observed({ server: plainServer(1, { idleStates }), services: [single()], seed: 1 });
    plant.advanceTo(200);
    plant.requestFrequency(0, HALF_KHZ);
    plant.advanceTo(MS);
    expect(served[0]).toMatchObject({ startNs: 600, completionNs: 2600 });
  });

  it('changes only the cores of the domain', () => {
    const { plant, served } = observed({
      server: plainServer(2, { shape: 'core' }),
      services: [single({ arrivals: { kind: 'replay', arrivalsNs: [100, 100] } })],
      seed: 1,
    });
    plant.requestFrequency(1, HALF_KHZ);
    plant.advanceTo(MS);
    expect(served.map(({ core, completionNs }) => [core, completionNs])).toEqual([
      [0, 1100],
      [1, 2100],
    ]);
  });

  it('refuses to go back in time, and a time that is none', () => {
    const { plant } = observed({ server: plainServer(1), services: [single()], seed: 1 });
    plant.advanceTo(500);
    for (const ns of [499, NaN, Infinity]) expect(() => plant.advanceTo(ns)).toThrow(RangeError);
    expect(plant.nowNs).toBe(500);
  });

  it('refuses services that may use no core or one that is not there', () => {
    for (const cpus of [[], [cpuId(7)]]) {
      expect(() => new Plant({ server: plainServer(2), services: [single({ cpus })], seed: 1 })).toThrow(RangeError);
    }
  });
});

describe('Plant, exactly', () => {
  const run = (overrides: Partial<ServiceModel>, khz: number) => {
    const plant = new Plant({ server: plainServer(4), services: [service(overrides)], seed: 3 });
    plant.requestFrequency(0, khz);
    plant.advanceTo(200 * MS);
    return hashOf(plant, 1);
  };

  const demands: readonly ((scale: number) => ServiceModel['demand'])[] = [
    (scale) => ({ kind: 'exponential', meanNs: scale * 10 * US }),
    (scale) => ({ kind: 'lognormal', meanNs: scale * 10 * US, sigma: 0.5 }),
    (scale) => ({ kind: 'bimodal', shortNs: scale * 5 * US, longNs: scale * 99 * US, longRatio: 0.03 }),
    (scale) => ({ kind: 'bounded-pareto', alpha: 1.3, minNs: scale * 3 * US, maxNs: scale * 300 * US }),
  ];
  it.each(demands)(
    'serves demands at half the frequency as twice the demand at the full one: the same bytes',
    (demand) => {
      const half = run({ demand: demand(1) }, HALF_KHZ);
      expect(half).toBe(run({ demand: demand(2) }, 2_000_000));
      expect(half).not.toBe(run({ demand: demand(1) }, 2_000_000));
    },
  );

  it('gives the same bytes for the same seed, however often it is stopped on the way, and others for another', () => {
    const run2 = (seed: number, stepNs: number) => {
      const plant = new Plant({
        server: plainServer(4, { shape: 'core', transitionLatencyNs: 7 * US }),
        services: [service(), service({ name: 'search', dispatch: { kind: 'connection-hash', connections: 9 } })],
        seed,
      });
      for (let ns = stepNs; ns <= 50 * MS; ns += stepNs) {
        plant.advanceTo(ns);
        if (ns % (10 * MS) === 0)
          plant.requestFrequency((ns / (10 * MS)) % 4, ns % (20 * MS) === 0 ? 1_500_000 : HALF_KHZ);
      }
      return hashOf(plant, 2);
    };
    const whole = run2(1, 10 * MS);
    expect(run2(1, MS / 2)).toBe(whole);
    expect(run2(2, 10 * MS)).not.toBe(whole);
  });

  it('brings the same requests to a slow machine as to a fast one', () => {
    const requestsOf = (khz: number) => {
      const { plant, served } = observed({
        server: plainServer(8),
        services: [service({ frequencyBoundRatio: 0.5 }), service({ name: 'other' })],
        seed: 5,
      });
      plant.requestFrequency(0, khz);
      plant.advanceTo(10 * MS);
      // Demand at full speed: what was frequency-bound scales back.
      const slowdown = (index: number) => (index === 0 ? 0.5 : 1) * (2_000_000 / khz) + (index === 0 ? 0.5 : 0);
      return served
        .map(({ service: index, arrivalNs, startNs, completionNs }) => [
          index,
          arrivalNs,
          Math.round((completionNs - startNs) / slowdown(index)),
        ])
        .sort((a, b) => a[0]! - b[0]! || a[1]! - b[1]!)
        .slice(0, 500);
    };
    expect(requestsOf(HALF_KHZ)).toEqual(requestsOf(2_000_000));
  });

  it('does not let one service shift the requests of another', () => {
    const arrivalsOfFirst = (services: readonly ServiceModel[]) => {
      const { plant, served } = observed({ server: plainServer(8), services, seed: 5 });
      plant.advanceTo(5 * MS);
      return served
        .filter((each) => each.service === 0)
        .map(({ arrivalNs }) => arrivalNs)
        .sort((a, b) => a - b)
        .slice(0, 200);
    };
    expect(arrivalsOfFirst([service(), service({ name: 'other' })])).toEqual(arrivalsOfFirst([service()]));
  });
});

describe('Plant, whatever happens', () => {
  const action = fc.oneof(
    fc.record({
      kind: fc.constant('frequency' as const),
      domain: fc.nat(5),
      khz: fc.integer({ min: 1_000_000, max: 2_000_000 }),
    }),
    fc.record({
      kind: fc.constant('grant' as const),
      service: fc.nat(1),
      cores: fc.uniqueArray(fc.nat(5), { minLength: 1 }),
    }),
    fc.record({ kind: fc.constant('nothing' as const) }),
  );
  const scenario = fc.record({
    seed: fc.nat(),
    cores: fc.constant(6),
    shape: fc.constantFrom('core' as const, 'package' as const),
    latencyNs: fc.constantFrom(0, 30 * US),
    central: fc.boolean(),
    closed: fc.boolean(),
    deepIdle: fc.boolean(),
    steps: fc.array(fc.record({ spanNs: fc.nat(400 * US), action }), { minLength: 1, maxLength: 25 }),
  });

  it('conserves requests, keeps time in order, and loses nobody when cores come and go', () => {
    fc.assert(
      fc.property(scenario, ({ seed, cores, shape, latencyNs, central, closed, deepIdle, steps }) => {
        const services = [
          service({
            dispatch: central ? { kind: 'central' } : { kind: 'connection-hash', connections: 13 },
            arrivals: closed
              ? { kind: 'closed', clients: 30, thinkTime: { kind: 'exponential', meanNs: 50 * US } }
              : { kind: 'poisson', ratePerS: 400_000 },
          }),
          service({ name: 'other', frequencyBoundRatio: 0.3, demand: { kind: 'deterministic', meanNs: 7 * US } }),
        ];
        const idleStates = deepIdle
          ? [
              { name: 'C1', afterNs: 0, wakeNs: 0, watts: 1 },
              { name: 'C6', afterNs: 30 * US, wakeNs: 20 * US, watts: 0.1 },
            ]
          : [];
        const server = plainServer(cores, { shape, transitionLatencyNs: latencyNs, idleStates });
        const { plant, served } = observed({ server, services, seed });
        const arrived = [0, 0];
        const completed = [0, 0];
        let joules = 0;
        for (const step of steps) {
          if (step.action.kind === 'frequency' && step.action.domain < server.machine.domains.length) {
            plant.requestFrequency(step.action.domain, kiloHertz(step.action.khz));
          } else if (step.action.kind === 'grant') plant.grant(step.action.service, step.action.cores);
          plant.advanceTo(plant.nowNs + step.spanNs);
          services.forEach((_, index) => {
            const window = plant.takeWindow(index);
            arrived[index]! += window.arrivals;
            completed[index]! += window.requests;
            expect(completed[index]! + plant.inFlight(index)).toBe(arrived[index]);
            expect(plant.oldestArrivalNs(index) <= plant.nowNs).toBe(plant.inFlight(index) > 0);
          });
          expect(plant.joules).toBeGreaterThanOrEqual(joules);
          joules = plant.joules;
        }
        expect(served).toHaveLength(completed[0]! + completed[1]!);
        const ordered = served.every(
          ({ arrivalNs, startNs, completionNs }, i) =>
            0 <= arrivalNs &&
            arrivalNs <= startNs &&
            startNs <= completionNs &&
            (i === 0 || served[i - 1]!.completionNs <= completionNs),
        );
        expect(ordered, 'a time goes backwards').toBe(true);
        for (let core = 0; core < cores; core++) {
          const own = served.filter((each) => each.core === core);
          const apart = own.every(({ startNs }, i) => i === 0 || own[i - 1]!.completionNs <= startNs);
          expect(apart, 'a core serves two requests at a time').toBe(true);
        }
        // No more clients than there are.
        if (closed) expect(plant.inFlight(0)).toBeLessThanOrEqual(30);
      }),
      { numRuns: 60 },
    );
  });

  it('takes from the central queue in order of arrival', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 5 }), (seed, cores) => {
        const { plant, served } = observed({
          server: plainServer(cores),
          services: [service({ arrivals: { kind: 'poisson', ratePerS: 95_000 * cores } })],
          seed,
        });
        plant.advanceTo(5 * MS);
        const byStart = served.toSorted((a, b) => a.startNs - b.startNs || a.arrivalNs - b.arrivalNs);
        byStart.forEach(({ arrivalNs }, i) => {
          if (i > 0) expect(arrivalNs).toBeGreaterThanOrEqual(byStart[i - 1]!.arrivalNs);
        });
        expect(served.length).toBeGreaterThan(100);
      }),
      { numRuns: 20 },
    );
  });

  it('keeps each connection on its own core, in order, though others be free', () => {
    const { plant, served } = observed({
      server: plainServer(4),
      services: [
        service({
          arrivals: { kind: 'closed', clients: 3, thinkTime: { kind: 'deterministic', meanNs: 1 } },
          dispatch: { kind: 'connection-hash', connections: 3 },
        }),
      ],
      seed: 1,
    });
    plant.advanceTo(5 * MS);
    const coresUsed = new Set(served.map(({ core }) => core));
    expect(coresUsed.size).toBeLessThanOrEqual(3);
    for (const core of coresUsed) {
      const arrivals = served.filter((each) => each.core === core).map(({ arrivalNs }) => arrivalNs);
      expect(arrivals).toEqual(arrivals.toSorted((a, b) => a - b));
    }
  });

  it('drains a core that is taken away, gives it nothing more, and puts a new one to work at once', () => {
    const { plant, served } = observed({
      server: plainServer(2),
      services: [
        service({
          arrivals: { kind: 'replay', arrivalsNs: [0, 0, 0, 0] },
          demand: { kind: 'deterministic', meanNs: 100 },
        }),
      ],
      seed: 1,
    });
    plant.advanceTo(50);
    plant.grant(0, [0]);
    plant.advanceTo(250);
    plant.grant(0, [1]);
    plant.advanceTo(1000);
    expect(served.map(({ core, startNs }) => [core, startNs])).toEqual([
      [0, 0],
      [1, 0],
      [0, 100],
      [0, 200],
    ]);
    expect(plant.grantedCores(0)).toEqual([1]);
  });

  it('lets services that share a core take turns by age', () => {
    const requests = (name: string, arrivalsNs: number[]) =>
      service({ name, arrivals: { kind: 'replay', arrivalsNs }, demand: { kind: 'deterministic', meanNs: 100 } });
    const { plant, served } = observed({
      server: plainServer(1),
      services: [requests('a', [0, 20]), requests('b', [10, 30])],
      seed: 1,
    });
    plant.advanceTo(1000);
    expect(served.map((each) => each.service)).toEqual([0, 1, 0, 1]);
  });

  it('runs a thousand cores', () => {
    const { plant, served } = observed({
      server: plainServer(1000),
      services: [service({ arrivals: { kind: 'poisson', ratePerS: 50e6 } })],
      seed: 1,
    });
    plant.advanceTo(200 * US);
    expect(Math.max(...served.map(({ core }) => core))).toBeGreaterThan(400);
  });
});
