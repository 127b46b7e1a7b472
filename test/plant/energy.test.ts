import { describe, expect, it } from 'vitest';
import { busyCoreWatts } from '../../src/core/power-model.ts';
import { Plant } from '../../src/plant/plant.ts';
import type { ServerModel } from '../../src/plant/server-model.ts';
import { withoutDeepIdle } from '../../src/plant/server-model.ts';
import { xeonSilver4114 } from '../../src/plant/servers.ts';
import type { ServiceModel } from '../../src/plant/service-model.ts';
import { estimate } from './support/queueing.ts';
import { plainServer } from './support/servers.ts';

const S = 1e9;
const US = 1e3;

/** One request of 40 µs each 100 µs, to the nanosecond. */
const clockwork: ServiceModel = {
  name: 'clockwork',
  sloLatencyNs: S,
  arrivals: { kind: 'regular', ratePerS: 10_000 },
  demand: { kind: 'deterministic', meanNs: 40 * US },
  frequencyBoundRatio: 1,
  dispatch: { kind: 'central' },
};

const run = (server: ServerModel, service: ServiceModel) => new Plant({ server, services: [service], seed: 1 });

describe('energy', () => {
  it('is static power and idle cores where nothing happens', () => {
    const plant = run(plainServer(4), { ...clockwork, arrivals: { kind: 'replay', arrivalsNs: [] } });
    plant.advanceTo(7 * S);
    expect(plant.joules).toBeCloseTo(7 * (10 + 4), 9);
  });

  it('follows the closed form at constant load and frequency, however often it is read', () => {
    const plant = run(plainServer(4), clockwork);
    for (let ns = 0; ns < S; ns += 333_331) {
      plant.advanceTo(ns);
      expect(plant.joules).toBeGreaterThanOrEqual(0);
    }
    plant.advanceTo(S);
    // Busy 40 µs of each 100, but the last request has only just arrived: 9,999 of them have run.
    const busyS = 9999 * 40e-6;
    expect(plant.joules).toBeCloseTo(10 + 3 + (1 - busyS) * 1 + busyS * 4, 9);
  });

  it('is that of Poisson arrivals within three standard errors, too', () => {
    const plant = run(plainServer(4), {
      ...clockwork,
      arrivals: { kind: 'poisson', ratePerS: 50_000 },
      demand: { kind: 'exponential', meanNs: 40 * US },
    });
    let before = 0;
    const batches = Array.from({ length: 50 }, (_, i) => {
      plant.advanceTo((i + 1) * 0.2 * S);
      const watts = (plant.joules - before) / 0.2;
      before = plant.joules;
      return watts;
    });
    const { mean, standardError } = estimate(batches);
    // Two of four cores are busy on average.
    expect(Math.abs(mean - (10 + 2 * 1 + 2 * 4)) / standardError).toBeLessThan(3);
  });

  it('counts dynamic power at the frequency of the moment: half the frequency, twice the time, half the busy power', () => {
    const plant = run(plainServer(1), clockwork);
    plant.requestFrequency(0, 1_000_000);
    plant.advanceTo(S);
    const busyS = 9999 * 80e-6;
    expect(plant.joules).toBeCloseTo(10 + (1 - busyS) * 1 + busyS * 2, 9);
  });

  it('falls through the idle states by age, and draws busy power while it wakes', () => {
    const server = plainServer(1, {
      idleStates: [
        { name: 'C1', afterNs: 0, wakeNs: 0, watts: 1 },
        { name: 'C1E', afterNs: 20 * US, wakeNs: 5 * US, watts: 0.5 },
        { name: 'C6', afterNs: 500 * US, wakeNs: 50 * US, watts: 0.1 },
      ],
    });
    const plant = run(server, clockwork);
    plant.advanceTo(S);
    // Idle from 0 to the first arrival at 100 µs; then 45 µs awake and 55 µs idle in each period, 9,999 times.
    const first = 20e-6 * 1 + 80e-6 * 0.5;
    const each = 45e-6 * 4 + 20e-6 * 1 + 35e-6 * 0.5;
    expect(plant.joules).toBeCloseTo(10 + first + 9999 * each, 9);
    // 5 µs of waking is wait, not handling.
    const { socketWait, handlingTime } = plant.takeWindow(0);
    expect(socketWait.meanNs).toBeCloseTo(5 * US, 3);
    expect(handlingTime.meanNs).toBeCloseTo(40 * US, 3);
  });

  it('counts cores of the package that the machine does not have as idle', () => {
    const server = plainServer(2);
    const plant = run(
      { ...server, power: { ...server.power, coreCount: 6 } },
      { ...clockwork, arrivals: { kind: 'replay', arrivalsNs: [] } },
    );
    plant.advanceTo(S);
    expect(plant.joules).toBeCloseTo(10 + 6, 9);
  });
});

describe('xeonSilver4114', () => {
  it('goes through the published points', () => {
    const { power } = xeonSilver4114;
    expect(busyCoreWatts(power, 2_200_000)).toBeCloseTo(4, 9);
    expect(busyCoreWatts(power, 800_000)).toBeCloseTo(1, 9);
    expect(power.staticWatts + 10 * 1.44).toBeCloseTo(44, 9);
  });

  it('loses its deep idle states to operators who do not want them', () => {
    expect(withoutDeepIdle(xeonSilver4114, 10 * US).idleStates.map(({ name }) => name)).toEqual(['C1', 'C1E']);
  });
});
