import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { controllers } from '../../src/compose/controllers.ts';
import type { Slo } from '../../src/core/slo.ts';
import { NS_PER_S } from '../../src/core/units.ts';
import { loadTraces } from '../../src/plant/load-trace.ts';
import { xeonSilver4114 } from '../../src/plant/servers.ts';
import { workloads } from '../../src/plant/workloads.ts';
import { loadPolicy } from '../../src/policy/load-policy.ts';
import { type RunOptions, SimulatedRun, simulateRun } from '../../src/study/simulated-run.ts';

const policyNamed = (name: string) => loadPolicy(join(import.meta.dirname, `../../policies/${name}.yaml`), controllers);
const microservice = workloads['microservice']!;
const slo: Slo = { quantile: 0.99, latencyNs: microservice.sloLatencyNs, windowMs: 60_000 };
const DURATION_NS = 20 * NS_PER_S;

const options = (policy: string, overrides: Partial<RunOptions> = {}): RunOptions => ({
  policy: policyNamed(policy),
  workload: microservice,
  trace: loadTraces['step']!(DURATION_NS),
  server: xeonSilver4114,
  cores: 4,
  seed: 7,
  durationNs: DURATION_NS,
  slo,
  ...overrides,
});

describe('simulateRun()', () => {
  const runs = Object.fromEntries(
    ['performance', 'pid', 'threshold'].map((name) => [name, simulateRun(options(name))] as const),
  );
  const performance = runs['performance']!;

  it('is the same for the same seed, and another for another', () => {
    expect(JSON.stringify(simulateRun(options('pid')))).toBe(JSON.stringify(runs['pid']));
    expect(simulateRun(options('pid', { seed: 8 })).arrivals).not.toBe(runs['pid']!.arrivals);
  });

  it.each(['pid', 'threshold'])('asks %s the same as full speed, and is never slower at full speed', (name) => {
    const governed = runs[name]!;
    expect(governed.arrivals).toBe(performance.arrivals);
    expect(governed.points.map(({ arrivalsPerS }) => arrivalsPerS)).toEqual(
      performance.points.map(({ arrivalsPerS }) => arrivalsPerS),
    );
    for (const quantile of [0.1, 0.5, 0.9, 0.99, 0.999]) {
      expect(performance.latency.quantileNs(quantile)).toBeLessThanOrEqual(governed.latency.quantileNs(quantile));
    }
    expect(performance.overSlo).toBeLessThanOrEqual(governed.overSlo);
  });

  it.each(['pid', 'threshold'])('%s holds the objective over a step of load, with less energy', (name) => {
    const governed = runs[name]!;
    expect(governed.requests).toBeGreaterThan(30_000);
    expect(governed.overSlo / governed.requests).toBeLessThanOrEqual(0.01);
    expect(governed.energyJ).toBeLessThan(performance.energyJ);
    expect(governed.faultyTicks).toBe(0);
  });

  it('leaves full speed alone at full speed', () => {
    expect(performance.transitions).toBe(0);
    expect(new Set(performance.points.map(({ frequencyKhz }) => frequencyKhz))).toEqual(new Set([2_200_000]));
  });

  it('has points that add up to the run', () => {
    const { points, arrivals, energyJ, latency, requests } = runs['pid']!;
    expect(points.at(-1)!.atS).toBe(20);
    let [asked, spentJ, fromS] = [0, 0, 0];
    for (const { atS, arrivalsPerS, watts } of points) {
      asked += arrivalsPerS * (atS - fromS);
      spentJ += watts * (atS - fromS);
      fromS = atS;
    }
    expect(asked).toBeCloseTo(arrivals, 3);
    expect(spentJ).toBeCloseTo(energyJ, 6);
    expect(latency.count).toBe(requests);
  });

  it('ends when it is to, though that is between two ticks', () => {
    const durationNs = 1.23 * NS_PER_S;
    expect(simulateRun(options('pid', { durationNs })).simulatedNs).toBe(durationNs);
  });

  it('keeps few points however long it is', () => {
    const durationNs = 200 * NS_PER_S;
    const { points } = simulateRun(options('pid', { durationNs, cores: 1 }));
    expect(points.length).toBeGreaterThan(100);
    expect(points.length).toBeLessThanOrEqual(300);
  });
});

describe('SimulatedRun', () => {
  it('comes to the same in small steps as in one', () => {
    const stepped = new SimulatedRun(options('pid'));
    for (let untilNs = 0; untilNs <= DURATION_NS; untilNs += 0.37 * NS_PER_S) stepped.advanceTo(untilNs);
    stepped.advanceTo(DURATION_NS);
    expect(stepped.result).toEqual(simulateRun(options('pid')));
  });

  it('governs several services on the same cores, each for its own objective', () => {
    const search = workloads['web-search']!;
    const alone = simulateRun(options('pid'));
    const [shared, full] = ['pid', 'performance'].map((name) => simulateRun(options(name, { beside: [search] })));
    // They share out what one service would be asked.
    expect(shared!.requests / alone.requests).toBeCloseTo(0.5, 1);
    const [other] = shared!.beside;
    expect(other!.requests).toBeGreaterThan(0);
    expect(other!.slo.latencyNs).toBe(search.sloLatencyNs);
    expect(shared!.requests + other!.requests).toBeLessThan(alone.requests);
    expect(shared!.energyJ).toBeLessThan(full!.energyJ);
    expect(shared!.overSlo / shared!.requests).toBeLessThanOrEqual(0.01);
    expect(other!.overSlo / other!.requests).toBeLessThanOrEqual(0.02);
    expect(alone.beside).toEqual([]);
  });

  it('can tell what there is before its end', () => {
    const run = new SimulatedRun(options('pid', { durationNs: 3600 * NS_PER_S }));
    run.advanceTo(1.05 * NS_PER_S);
    expect(run.result.simulatedNs).toBe(NS_PER_S);
    expect(run.result.latency.count).toBe(run.result.requests);
    expect(run.result.requests).toBeGreaterThan(100);
  });
});
