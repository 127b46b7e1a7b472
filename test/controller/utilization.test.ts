import { describe, expect, it } from 'vitest';
import { utilization } from '../../src/controller/utilization.ts';
import { NS_PER_MS } from '../../src/core/units.ts';
import { input, SLO } from './observation.ts';
import { runBench, summarize } from './queue-bench.ts';

describe('the utilization controller', () => {
  const controller = utilization.create({});
  const limits = { min: 0.2, max: 1 };

  it('asks for 1.25 times the load, as schedutil does', () => {
    const given = input({ utilization: 0.8 }, { appliedLevel: 0.5 });
    const output = controller.step(given, controller.initial(1));
    expect(output.level).toBeCloseTo(0.5, 9);
    expect(output.reason).toBe('1.25 × a load of 40 %: 50 %');
  });

  it('does not take the same look at utilisation twice', () => {
    let state = controller.initial(1);
    let level = 1;
    for (let i = 0; i < 9; i++) {
      ({ state, level } = controller.step(input({ utilization: 0.4 }, { appliedLevel: level }), state));
    }
    expect(level).toBeCloseTo(0.5, 9);
  });

  it('goes to the lowest level when idle and to the highest when it knows nothing', () => {
    expect(controller.step(input({ health: 'idle' }), controller.initial(1)).level).toBe(limits.min);
    expect(controller.step(input({ health: 'silence' }), controller.initial(1)).level).toBe(limits.max);
    expect(controller.step(input({ utilization: null }), controller.initial(1)).level).toBe(limits.max);
  });

  it('keeps a queue about 80 % busy, whatever the SLO', () => {
    const ticks = runBench({ controller, slo: SLO, serviceNs: NS_PER_MS, loadAt: () => 0.4, durationMs: 60_000 });
    const { meanLevel } = summarize(ticks, SLO.quantile, 20_000);
    expect(meanLevel).toBeGreaterThan(0.44);
    expect(meanLevel).toBeLessThan(0.56);
  });
});
