import { describe, expect, it } from 'vitest';
import { NS_PER_MS, NS_PER_S } from '../../../src/core/units.ts';
import { constantTrace } from '../../../src/plant/load-trace.ts';
import { xeonSilver4114 } from '../../../src/plant/servers.ts';
import { workloads } from '../../../src/plant/workloads.ts';
import type { BaselineFacts, PlantView } from '../../../src/study/baselines/baseline.ts';
import { nmap } from '../../../src/study/baselines/nmap.ts';
import { ondemandKhz } from '../../../src/study/baselines/ondemand.ts';
import { pegasusCap } from '../../../src/study/baselines/pegasus.ts';
import { baselines } from '../../../src/study/baselines/registry.ts';
import { rubik } from '../../../src/study/baselines/rubik.ts';
import { schedutil } from '../../../src/study/baselines/schedutil.ts';
import { simulateRun } from '../../../src/study/simulated-run.ts';

const workload = workloads['microservice']!;
const slo = { quantile: 0.99, latencyNs: workload.sloLatencyNs, windowMs: 1000 };
const run = (name: string, load: number) =>
  simulateRun({
    ...{ policy: baselines[name]!, workload, slo, seed: 5, cores: 2, server: xeonSilver4114 },
    trace: constantTrace(load),
    durationNs: 5 * NS_PER_S,
  });

const facts: BaselineFacts = {
  server: { ...xeonSilver4114, machine: { ...xeonSilver4114.machine, cpus: xeonSilver4114.machine.cpus.slice(0, 1) } },
  service: {
    name: 'service',
    sloLatencyNs: slo.latencyNs,
    arrivals: { kind: 'poisson', ratePerS: 100 },
    demand: { kind: 'deterministic', meanNs: NS_PER_MS },
    frequencyBoundRatio: 1,
    dispatch: { kind: 'connection-hash', connections: 1 },
  },
  slo,
  lowestKhz: 800_000,
  highestKhz: 2_200_000,
};
const view = (overrides: Partial<PlantView>): PlantView => ({
  nowNs: NS_PER_S,
  elapsedNs: NS_PER_MS,
  busyNs: () => 0,
  frequencyKhz: () => 2_200_000,
  servingArrivalNs: () => Infinity,
  servingStartNs: () => 0,
  waiting: () => 0,
  waitingArrivalNs: () => 0,
  snapshot: null,
  ...overrides,
});

describe('every baseline', () => {
  it.each(Object.keys(baselines))(
    '%s serves the same requests and takes less energy than full speed',
    { timeout: 60_000 },
    (name) => {
      const result = run(name, 0.5);
      const full = simulateRun({
        ...{ policy: { ...baselines['powersave']!, start: () => () => () => 2_200_000 }, workload, slo, seed: 5 },
        ...{ cores: 2, server: xeonSilver4114, trace: constantTrace(0.5), durationNs: 5 * NS_PER_S },
      });
      expect(result.arrivals).toBe(full.arrivals);
      expect(result.energyJ).toBeLessThan(full.energyJ);
      expect(run(name, 0.5).energyJ).toBe(result.energyJ);
      expect(result.windows).toBe(5);
    },
  );
});

describe('schedutil', () => {
  it('settles at 1.25 times the utilisation in units of full capacity', () => {
    const rule = schedutil.start(facts);
    let khz = 0;
    // Busy for half of the time at 1.1 GHz: a quarter of the capacity.
    for (let look = 1; look <= 200; look++) {
      const busyNs = look * 5 * NS_PER_MS;
      khz = rule(view({ elapsedNs: 10 * NS_PER_MS, busyNs: () => busyNs, frequencyKhz: () => 1_100_000 }))(0);
    }
    expect(khz).toBeCloseTo(1.25 * 2_200_000 * 0.25, 0);
  });
});

describe('ondemandKhz()', () => {
  it('goes to the maximum above the threshold, and in proportion below', () => {
    expect(ondemandKhz(0.96, facts)).toBe(2_200_000);
    expect(ondemandKhz(0.5, facts)).toBe(1_500_000);
    expect(ondemandKhz(0, facts)).toBe(800_000);
  });
});

describe('pegasusCap()', () => {
  it('follows its thresholds', () => {
    expect(pegasusCap(0.5, 1.4)).toBe(1);
    expect(pegasusCap(0.5, 1.1)).toBeCloseTo(0.535);
    expect(pegasusCap(0.99, 1.1)).toBe(1);
    expect(pegasusCap(0.5, 0.9)).toBe(0.5);
    expect(pegasusCap(0.5, 0.7)).toBeCloseTo(0.495);
    expect(pegasusCap(0.5, 0.5)).toBeCloseTo(0.485);
  });
});

describe('rubik', () => {
  const khzWhere = (ageNs: number, waiting: number) =>
    rubik.start(facts)(
      view({
        servingArrivalNs: () => NS_PER_S - ageNs,
        servingStartNs: () => NS_PER_S,
        waiting: () => waiting,
        waitingArrivalNs: () => NS_PER_S - ageNs,
      }),
    )(0);

  it('takes exactly the frequency at which a request of known demand meets the target', () => {
    // 1 ms of work at full speed in the 10 ms that there are, or in the 5 ms that are left.
    expect(khzWhere(0, 0)).toBeCloseTo(220_000, 0);
    expect(khzWhere(5 * NS_PER_MS, 0)).toBeCloseTo(440_000, 0);
  });

  it('counts what waits behind it', () => {
    expect(khzWhere(0, 4)).toBeCloseTo(5 * 220_000, 0);
  });

  it('runs at the maximum for what is late', () => {
    expect(khzWhere(11 * NS_PER_MS, 0)).toBe(2_200_000);
  });
});

describe('nmap', () => {
  it('goes to the maximum when two looks find a queue, and stays until ten find none', () => {
    const rule = nmap.start(facts);
    const look = (waiting: number) => rule(view({ waiting: () => waiting }))(0);
    expect(look(1)).toBe(800_000);
    expect(look(1)).toBe(2_200_000);
    for (let i = 0; i < 9; i++) expect(look(0)).toBe(2_200_000);
    expect(look(0)).toBe(800_000);
  });
});
