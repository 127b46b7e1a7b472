import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPlanner } from '../../src/compose/create-planner.ts';
import type { OperatingPoint } from '../../src/core/machine.ts';
import type { CoreLimits } from '../../src/core/planner.ts';
import { corei7_1165g7 } from '../../src/core/power-model.ts';
import { cpuId, kiloHertz } from '../../src/core/units.ts';
import { cheapestPoint, pointWatts } from '../../src/planner/cheapest-point.ts';
import { type CorePlannerOptions, createCorePlanner } from '../../src/planner/core-planner.ts';
import { machineOf, shapes } from './random-machine.ts';

const EIGHT = machineOf({
  ...{ packages: 1, nodesPerPackage: 1, coresPerNode: 8, threads: 1, coresPerDomain: 1, stepped: true },
});
const web = (changes: Partial<CoreLimits> = {}): CoreLimits => ({
  service: 'web',
  minCpus: 1,
  reserved: [],
  ...changes,
});

function plannerOf(changes: Partial<CorePlannerOptions> = {}) {
  return createCorePlanner(EIGHT, { limits: {}, strategy: 'cores', services: [web()], power: null, ...changes });
}

describe('createCorePlanner(): cores', () => {
  it('grants as few CPUs as give the level, at full speed', () => {
    const { point, levels } = plannerOf().plan([{ service: 'web', level: 0.3 }]);
    expect(point.cpus).toEqual({ web: [0, 1, 2] });
    expect(new Set(Object.values(point.frequencyKhz))).toEqual(new Set([2_400_000]));
    expect(levels['web']).toBe(3 / 8);
  });

  it('grants no fewer than the minimum, and nothing that is reserved', () => {
    const planner = plannerOf({ services: [web({ minCpus: 3, reserved: [0, 1] })] });
    expect(planner.plan([{ service: 'web', level: 0 }]).point.cpus).toEqual({ web: [2, 3, 4] });
    expect(planner.full.cpus).toEqual({ web: [2, 3, 4, 5, 6, 7] });
    expect(planner.levelOf(planner.full, 'web')).toBe(1);
  });

  it('grants one core more where one of them is worth less than the mean, for a thread of it is reserved', () => {
    const three = machineOf({
      ...{ packages: 1, nodesPerPackage: 1, coresPerNode: 3, threads: 2, coresPerDomain: 1, stepped: true },
    });
    const planner = createCorePlanner(three, {
      ...{ limits: {}, strategy: 'cores', services: [web({ reserved: [0] })], power: null },
    });
    const has = { ...planner.full, cpus: { web: [1, 3].map(cpuId) } };
    const { point, levels } = planner.plan([{ service: 'web', level: 0.65 }], has);
    expect(point.cpus).toEqual({ web: [1, 2, 3, 4, 5] });
    expect(levels['web']).toBe(1);
  });

  it('asks for full speed where a service is given no CPU', () => {
    const planner = plannerOf({ services: [web({ reserved: [...EIGHT.cpus] })] });
    expect(planner.plan([{ service: 'web', level: 0.1 }]).point).toEqual(planner.full);
    expect(planner.full.cpus).toEqual({});
  });

  it('counts CPUs alone where there is no cpufreq', () => {
    const bare = { ...EIGHT, domains: [] };
    const planner = createCorePlanner(bare, { limits: {}, strategy: 'pack', services: [web()], power: null });
    const { point, levels } = planner.plan([{ service: 'web', level: 0.5 }]);
    expect(point).toEqual({ frequencyKhz: {}, cpus: { web: [0, 1, 2, 3] } });
    expect(levels['web']).toBe(0.5);
  });
});

describe('createCorePlanner(): pack', () => {
  it('takes the fewest cores, then the frequency, where no power model is known', () => {
    const { point } = plannerOf({ strategy: 'pack' }).plan([{ service: 'web', level: 0.3 }]);
    expect(point.cpus).toEqual({ web: [0, 1, 2] });
    expect(point.frequencyKhz['policy0']).toBe(2_000_000);
  });

  it('with a power model packs at low load and spreads at high load, where voltage can be saved', () => {
    const planner = plannerOf({ strategy: 'pack', power: { ...corei7_1165g7, coreCount: 8 } });
    const cores = (level: number, loadRatio: number) =>
      planner.plan([{ service: 'web', level, loadRatio }]).point.cpus['web']!.length;
    expect(cores(0.05, 0.02)).toBe(1);
    expect(cores(0.6, 0.5)).toBe(8);
  });

  it('is at no slower rung than pays: below it the same work takes more energy', () => {
    const rungs = [0.1, 0.2, 0.4, 0.6, 0.8, 1];
    const search = { power: corei7_1165g7, maxKhz: 4_000_000, coreCount: 4, minCores: 1, rungs };
    expect(cheapestPoint(search, 0.025, 0.02).share).toBeGreaterThan(0.1);
  });

  it('moves no core for a gain that is not worth it', () => {
    const search = { power: corei7_1165g7, maxKhz: 4_000_000, coreCount: 4, minCores: 1, rungs: [0.3, 1] };
    expect(cheapestPoint(search, 0.05, 0.02).cores).toBe(1);
    expect(cheapestPoint(search, 0.05, 0.02, 2).cores).toBe(2);
  });

  it('no feasible point of the ladder draws less, for random levels and loads', () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    const property = fc.property(share, share, (level, loadRatio) => {
      const rungs = [0.2, 0.4, 0.6, 0.8, 1];
      const search = { power: corei7_1165g7, maxKhz: 4_000_000, coreCount: 6, minCores: 1, rungs };
      const chosen = cheapestPoint(search, level, loadRatio);
      expect(chosen.cores * chosen.share).toBeGreaterThanOrEqual(level * 6 - 1e-6);
      for (let cores = 1; cores <= 6; cores++) {
        for (const rung of rungs.filter((each) => each * cores >= level * 6)) {
          const watts = pointWatts(search, { cores, share: rung }, loadRatio);
          expect(pointWatts(search, chosen, loadRatio)).toBeLessThanOrEqual(watts + 1e-6);
        }
      }
    });
    fc.assert(property, { numRuns: 200 });
  });
});

describe('createCorePlanner(): several services', () => {
  const both = [web(), web({ service: 'cache' })];

  it('gives each cores of its own, and lets the highest demand win where a domain is shared', () => {
    const paired = machineOf({
      ...{ packages: 1, nodesPerPackage: 1, coresPerNode: 4, threads: 1, coresPerDomain: 4, stepped: true },
    });
    const planner = createCorePlanner(paired, { limits: {}, strategy: 'pack', services: both, power: null });
    const { point } = planner.plan([
      { service: 'web', level: 0.5 },
      { service: 'cache', level: 0.1 },
    ]);
    expect(point.cpus).toEqual({ web: [0, 1], cache: [2] });
    expect(point.frequencyKhz).toEqual({ policy0: 2_400_000 });
  });

  it('a service without demand slows no other, and takes none of its cores', () => {
    const planner = plannerOf({ strategy: 'pack', services: both });
    const from: OperatingPoint = planner.plan([{ service: 'web', level: 0.8 }]).point;
    const { point, levels } = planner.plan(
      [
        { service: 'web', level: 0.8 },
        { service: 'cache', level: 0 },
      ],
      from,
    );
    expect(point.cpus['web']).toEqual(from.cpus['web']);
    expect(point.cpus['cache']).toEqual([7]);
    expect(levels['web']).toBeGreaterThanOrEqual(0.8);
  });
});

describe('a service without demand', () => {
  it('slows no other, on any machine, with any strategy, whatever the others had before', () => {
    const level = fc.double({ min: 0, max: 1, noNaN: true });
    const strategies = fc.constantFrom('frequency' as const, 'cores' as const, 'pack' as const);
    const property = fc.property(
      ...[shapes, strategies, fc.boolean(), level, fc.array(level, { maxLength: 4 })],
      (shape, strategy, modelled, asked, before) => {
        const machine = machineOf(shape);
        const services = [web(), web({ service: 'cache' })];
        const power = modelled ? corei7_1165g7 : null;
        const planner = createPlanner(machine, { strategy, limits: {}, services, power });
        let from = planner.full;
        for (const past of before) {
          const both = ['web', 'cache'].map((service) => ({ service, level: past }));
          from = planner.plan(both, from).point;
        }
        const alone = planner.plan([{ service: 'web', level: asked }], from);
        const idle = { service: 'cache', level: 0, loadRatio: 0 };
        const beside = planner.plan([{ service: 'web', level: asked }, idle], from);
        expect(beside.levels['web']).toBeGreaterThanOrEqual(Math.min(asked, alone.levels['web']!) - 1e-9);
        const first = planner.plan([idle, { service: 'web', level: asked }], from);
        expect(first.levels['web']).toBeGreaterThanOrEqual(asked - 1e-9);
      },
    );
    fc.assert(property, { numRuns: 200 });
  });
});

describe('createCorePlanner(): for random machines and sequences of levels', () => {
  it('gives at least the level, within the range, and never a reserved CPU', () => {
    const level = fc.double({ min: 0, max: 1, noNaN: true });
    const property = fc.property(
      shapes,
      fc.constantFrom('cores' as const, 'pack' as const),
      fc.boolean(),
      fc.uniqueArray(fc.integer({ min: 0, max: 47 }), { maxLength: 5 }),
      fc.array(fc.tuple(level, level, level), { minLength: 1, maxLength: 8 }),
      (shape, strategy, modelled, reserved, levels) => {
        const machine = machineOf(shape);
        const services = [web({ reserved, minCpus: 2 }), web({ service: 'cache', reserved })];
        const power = modelled ? corei7_1165g7 : null;
        const planner = createCorePlanner(machine, { limits: {}, strategy, services, power });
        let from: OperatingPoint = planner.full;
        for (const [a, b, loadRatio] of levels) {
          const requests = [
            { service: 'web', level: a, loadRatio },
            { service: 'cache', level: b, loadRatio: null },
          ];
          const plan = planner.plan(requests, from);
          for (const { service, level: asked } of requests) {
            const cpus = plan.point.cpus[service] ?? [];
            expect(cpus.filter((cpu) => reserved.includes(cpu))).toEqual([]);
            expect(plan.levels[service]).toBeGreaterThanOrEqual(asked - 1e-9);
            expect(plan.levels[service]).toBe(planner.levelOf(plan.point, service));
          }
          for (const { id, allowedMinKhz, allowedMaxKhz } of machine.domains) {
            expect(plan.point.frequencyKhz[id]).toBeGreaterThanOrEqual(allowedMinKhz);
            expect(plan.point.frequencyKhz[id]).toBeLessThanOrEqual(kiloHertz(allowedMaxKhz));
          }
          from = plan.point;
        }
      },
    );
    fc.assert(property, { numRuns: 200 });
  });
});
