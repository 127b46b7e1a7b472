import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { composeSimulation } from '../../src/compose/compose-simulation.ts';
import { controllers } from '../../src/compose/controllers.ts';
import { NS_PER_MS } from '../../src/core/units.ts';
import { xeonSilver4114 } from '../../src/plant/servers.ts';
import { serviceOf, workloads } from '../../src/plant/workloads.ts';
import { loadPolicy } from '../../src/policy/load-policy.ts';

const microservice = workloads['microservice']!;
const policy = loadPolicy(join(import.meta.dirname, '../../policies/pid.yaml'), controllers);
const slo = { quantile: 0.99, latencyNs: microservice.sloLatencyNs, windowMs: 60_000 };

describe('composeSimulation()', () => {
  it('closes the loop around the simulated server', () => {
    const server = xeonSilver4114;
    const service = serviceOf('service', microservice, { cores: 10, loadRatio: 0.3 });
    const { loop, simulation } = composeSimulation({ server, service, policy, slo, seed: 1 });
    loop.engage();
    let applied = 1;
    for (let tick = 1; tick <= 100; tick++) {
      simulation.advanceTo(tick * loop.intervalMs * NS_PER_MS);
      const report = loop.tick(simulation.clock.monotonicNs());
      expect(report).toMatchObject({ mode: 'simulate', lateMs: 0, faults: [], predicted: false });
      applied = report.services[0]!.appliedLevel;
    }
    expect(applied).toBeLessThan(1);
    expect(simulation.transitions).toBeGreaterThan(0);
  });

  it.each(['cores', 'pack'] as const)(
    'plans by %s, too: fewer cores at low load, and less energy than all of them',
    (strategy) => {
      const server = xeonSilver4114;
      const service = serviceOf('service', microservice, { cores: 10, loadRatio: 0.1 });
      const { loop, simulation } = composeSimulation({ server, service, policy, slo, seed: 1, strategy });
      const idle = composeSimulation({ server, service, policy, slo, seed: 1 });
      loop.engage();
      let fewest = 10;
      for (let tick = 1; tick <= 100; tick++) {
        simulation.advanceTo(tick * loop.intervalMs * NS_PER_MS);
        const { applied } = loop.tick(simulation.clock.monotonicNs());
        fewest = Math.min(fewest, applied.cpus![0]!.appliedCpus!.length);
      }
      idle.simulation.advanceTo(Number(simulation.clock.monotonicNs()));
      expect(fewest).toBeLessThan(10);
      expect(simulation.energyJoules).toBeLessThan(idle.simulation.energyJoules);
    },
  );
});
