import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { busyCoreWatts } from '../../src/core/power-model.ts';
import { NS_PER_S, kiloHertz } from '../../src/core/units.ts';
import { listQueues, listRequests } from '../../src/plant/requests.ts';
import type { ServerModel } from '../../src/plant/server-model.ts';
import { xeonSilver4114 } from '../../src/plant/servers.ts';
import { type ServiceModel, slowdownAt } from '../../src/plant/service-model.ts';
import { Simulation } from '../../src/plant/simulation.ts';
import { KnownQueue, type Passage } from '../../src/study/reference/known-queue.ts';
import { plainServer } from '../plant/support/servers.ts';

const MS = 1e6;
const CORES = 3;
const INTERVALS = 5;
const INTERVAL_NS = 50 * MS;
const LATENCY_NS = 4 * MS;
const LADDER = [1_000_000, 1_300_000, 1_600_000, 2_000_000].map(kiloHertz);
const TOP = LADDER.length - 1;

const plain = plainServer(CORES, { stepsKhz: LADDER });
const sleeping = { ...plain, idleStates: xeonSilver4114.idleStates, transitionLatencyNs: 0.2 * MS };

const serviceOf = (dispatch: ServiceModel['dispatch'], ratePerS: number): ServiceModel => ({
  name: 'service',
  sloLatencyNs: LATENCY_NS,
  arrivals: { kind: 'poisson', ratePerS },
  demand: { kind: 'exponential', meanNs: 0.5 * MS },
  frequencyBoundRatio: 0.8,
  offCoreRatio: 0.5,
  dispatch,
});

const queuesOf = (server: ServerModel, service: ServiceModel, seed: number): readonly KnownQueue[] => {
  const lists = listQueues(service, seed, INTERVALS * INTERVAL_NS, CORES);
  const changesNs = Array.from({ length: INTERVALS }, (_, i) => i * INTERVAL_NS + server.transitionLatencyNs);
  return lists.map(
    (requests) =>
      new KnownQueue({
        server,
        requests,
        cores: CORES / lists.length,
        latencyNs: LATENCY_NS,
        offCoreRatio: service.offCoreRatio ?? 0,
        boundariesNs: Float64Array.of(0, ...changesNs, INTERVALS * INTERVAL_NS),
        speeds: LADDER.map((khz) => ({
          slowdown: slowdownAt(khz, LADDER[TOP]!, service.frequencyBoundRatio),
          busyWatts: busyCoreWatts(server.power, khz),
        })),
      }),
  );
};

/** By span, from the one before the first frequency is in force. */
function passagesOf(queue: KnownQueue, schedule: readonly number[]): readonly Passage[] {
  const passages: Passage[] = [];
  let state = queue.atRest();
  [TOP, ...schedule].forEach((speed, span) => {
    const passage = queue.pass(state, span, speed, Infinity)!;
    passages.push(passage);
    state = passage.after;
  });
  return passages;
}

/** On the plant: the energy of the cores, and the requests that were late before the end, done by then or not. */
function plantRun(server: ServerModel, service: ServiceModel, seed: number, schedule: readonly number[]) {
  const endNs = INTERVALS * INTERVAL_NS;
  const { arrivalsNs, demandsNs } = listRequests(service, seed, endNs);
  const demandOf = new Map(Array.from(arrivalsNs, (arrivalNs, i) => [arrivalNs, demandsNs[i]!]));
  let late = 0;
  const simulation = new Simulation({
    server,
    services: [service],
    seed,
    onCompletion: (_, arrivalNs, _startNs, completionNs) => {
      const demandNs = demandOf.get(arrivalNs);
      if (demandNs === undefined) return;
      const dueNs = arrivalNs + LATENCY_NS - service.offCoreRatio! * demandNs;
      if (dueNs < endNs && completionNs - arrivalNs > LATENCY_NS) late++;
    },
  });
  schedule.forEach((speed, index) => {
    simulation.actuator.apply({ frequencyKhz: { policy0: LADDER[speed]! }, cpus: {} });
    simulation.advanceTo((index + 1) * INTERVAL_NS);
  });
  const joules = simulation.energyJoules - (server.power.staticWatts * endNs) / NS_PER_S;
  // Until all of them are done.
  simulation.advanceTo(10 * endNs);
  return { joules, late };
}

const schedules = fc.array(fc.integer({ min: 0, max: TOP }), { minLength: INTERVALS, maxLength: INTERVALS });
const cells = fc.record({
  server: fc.constantFrom<ServerModel>(plain, sleeping),
  service: fc
    .tuple(
      fc.constantFrom<ServiceModel['dispatch']>({ kind: 'central' }, { kind: 'connection-hash', connections: 7 }),
      // From next to nothing to more than full speed can serve.
      fc.constantFrom(50, 500, 2000, 4000, 5500, 8000),
    )
    .map(([dispatch, ratePerS]) => serviceOf(dispatch, ratePerS)),
  seed: fc.integer({ min: 1, max: 1_000_000 }),
});
const sum = (passages: readonly Passage[], key: 'joules' | 'late') =>
  passages.reduce((total, passage) => total + passage[key], 0);

describe('KnownQueue', () => {
  it('serves as the plant does', () => {
    fc.assert(
      fc.property(cells, schedules, ({ server, service, seed }, schedule) => {
        const passages = queuesOf(server, service, seed).flatMap((queue) => passagesOf(queue, schedule));
        const plant = plantRun(server, service, seed, schedule);
        expect(sum(passages, 'late')).toBe(plant.late);
        expect(sum(passages, 'joules')).toBeCloseTo(plant.joules, 9);
      }),
    );
  });

  it('comes to the same on the short cut as on the whole way', () => {
    fc.assert(
      fc.property(cells, schedules, schedules, ({ server, service, seed }, first, second) => {
        const whole = queuesOf(server, service, seed).map((queue) => passagesOf(queue, second));
        const short = queuesOf(server, service, seed).map((queue) => {
          passagesOf(queue, first);
          return passagesOf(queue, second);
        });
        short.forEach((passages, index) => {
          passages.forEach(({ joules, late, after }, span) => {
            const expected = whole[index]![span]!;
            expect(late).toBe(expected.late);
            expect(joules).toBeCloseTo(expected.joules, 9);
            expect(after).toEqual(expected.after);
          });
        });
      }),
    );
  });

  it('forgets what it began with: after a quiet interval there is one state', () => {
    const service = serviceOf({ kind: 'connection-hash', connections: 90 }, 4000);
    for (const queue of queuesOf(sleeping, service, 1)) {
      const once = passagesOf(queue, [TOP, TOP, TOP, TOP, TOP]);
      const again = passagesOf(queue, [0, TOP, TOP, TOP, TOP]);
      expect(again[1]!.after).not.toBe(once[1]!.after);
      expect(again.at(-1)!.after).toBe(once.at(-1)!.after);
    }
  });

  it('gives up where more are late than anybody wants to know', () => {
    const overloaded = () => queuesOf(plain, serviceOf({ kind: 'central' }, 8000), 1)[0]!;
    const start = overloaded().atRest();
    const { late } = overloaded().pass(start, 1, TOP, Infinity)!;
    expect(late).toBeGreaterThan(0);
    expect(overloaded().pass(start, 1, TOP, late)?.late).toBe(late);
    expect(overloaded().pass(start, 1, TOP, late - 1)).toBeUndefined();
  });
});
