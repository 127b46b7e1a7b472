import { describe, expect, it } from 'vitest';
import { Plant } from '../../src/plant/plant.ts';
import { meanNsOf, problemOf } from '../../src/plant/distribution.ts';
import { loadTraces } from '../../src/plant/load-trace.ts';
import { withoutDeepIdle } from '../../src/plant/server-model.ts';
import { xeonSilver4114 } from '../../src/plant/servers.ts';
import { serviceOf, workloads } from '../../src/plant/workloads.ts';

describe('workloads', () => {
  it.each(Object.keys(workloads))(
    '%s is sound, cites a source, and meets its objective at half load and full speed',
    (name) => {
      const workload = workloads[name]!;
      expect(problemOf(workload.demand)).toBeUndefined();
      expect(workload.source).toMatch(/\d{4}/);
      expect(workload.source).toContain('Assumed');
      const cores = xeonSilver4114.machine.cpus.length;
      const service = serviceOf(name, workload, { cores, loadRatio: 0.5 });
      const plant = new Plant({ server: withoutDeepIdle(xeonSilver4114, 10_000), services: [service], seed: 1 });
      plant.advanceTo((20_000 * meanNsOf(workload.demand)) / (0.5 * cores));
      const { latency, overSlo, requests } = plant.takeWindow(0);
      expect(requests).toBeGreaterThan(19_000);
      expect(overSlo / requests, `p99 ${latency.quantileNs(0.99)} ns`).toBeLessThan(0.01);
    },
  );

  it('keeps the cores busy for the share of time that was asked for, scaled by the trace', () => {
    const service = serviceOf('x', workloads['microservice']!, {
      cores: 10,
      loadRatio: 0.8,
      trace: loadTraces['step']!(20e9),
    });
    const plant = new Plant({ server: xeonSilver4114, services: [service], seed: 1 });
    const busyNs = () => xeonSilver4114.machine.cpus.reduce((sum, _, core) => sum + plant.busyNs(0, core), 0);
    plant.advanceTo(10e9);
    const lowNs = busyNs();
    plant.advanceTo(20e9);
    expect(lowNs / 100e9).toBeCloseTo(0.32, 1);
    expect((busyNs() - lowNs) / 100e9).toBeCloseTo(0.8, 1);
  });
});
