import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FrequencyDomain, Machine } from '../../src/core/machine.ts';
import type { PlanLimits } from '../../src/core/planner.ts';
import { cpuId, kiloHertz } from '../../src/core/units.ts';
import { createFrequencyPlanner } from '../../src/planner/frequency-planner.ts';

const STEPS = [1_200_000, 1_600_000, 2_000_000, 2_400_000, 2_800_000, 3_200_000].map(kiloHertz);

function domain(id: string, cpus: number[], changes: Partial<FrequencyDomain> = {}): FrequencyDomain {
  const [minKhz, maxKhz] = [kiloHertz(1_200_000), kiloHertz(3_200_000)];
  const range = { minKhz, maxKhz, allowedMinKhz: minKhz, allowedMaxKhz: maxKhz };
  return { id, cpus: cpus.map(cpuId), ...range, stepsKhz: STEPS, ...changes };
}

function machineOf(...domains: FrequencyDomain[]): Machine {
  return { cpus: domains.flatMap(({ cpus }) => cpus), domains };
}

const planOne = (machine: Machine, level: number, limits: PlanLimits = {}) =>
  createFrequencyPlanner(machine, limits).plan([{ service: 'web', level }]);

describe('createFrequencyPlanner()', () => {
  it('takes the lowest step that gives the level', () => {
    const machine = machineOf(domain('policy0', [0]));
    expect(planOne(machine, 0.5).point.frequencyKhz).toEqual({ policy0: 1_600_000 });
    expect(planOne(machine, 0.51).point.frequencyKhz).toEqual({ policy0: 2_000_000 });
    expect(planOne(machine, 0.51).levels).toEqual({ web: 0.625 });
  });

  it('shares a level between two steps out over the domains, as few as give it at the higher one', () => {
    const machine = machineOf(
      domain('policy0', [0]),
      domain('policy1', [1]),
      domain('policy2', [2]),
      domain('policy3', [3]),
    );
    const { point, levels } = planOne(machine, 0.55);
    expect(Object.values(point.frequencyKhz)).toEqual([2_000_000, 2_000_000, 1_600_000, 1_600_000]);
    expect(levels['web']).toBeCloseTo(0.5625, 12);
  });

  it('rounds a continuous range up to whole MHz', () => {
    const machine = machineOf(
      domain('policy0', [0], { stepsKhz: null, maxKhz: kiloHertz(3_199_000), allowedMaxKhz: kiloHertz(3_199_000) }),
    );
    expect(planOne(machine, 0.5).point.frequencyKhz).toEqual({ policy0: 1_600_000 });
  });

  it('sets every domain to its own share where they differ, and weighs them by their CPUs', () => {
    const small = { maxKhz: kiloHertz(2_000_000), allowedMaxKhz: kiloHertz(2_000_000), stepsKhz: null };
    const machine = machineOf(domain('policy0', [0, 1, 2]), domain('policy3', [3], small));
    const { point, levels } = planOne(machine, 0.75);
    expect(point.frequencyKhz).toEqual({ policy0: 2_400_000, policy3: 1_500_000 });
    expect(levels['web']).toBeCloseTo(0.75, 12);
  });

  it('lets the highest level win where services share the machine', () => {
    const planner = createFrequencyPlanner(machineOf(domain('policy0', [0, 1])), {});
    const { point, levels } = planner.plan([
      { service: 'cache', level: 0.3 },
      { service: 'web', level: 0.7 },
    ]);
    expect(point.frequencyKhz).toEqual({ policy0: 2_400_000 });
    expect(levels).toEqual({ cache: 0.75, web: 0.75 });
  });

  it('goes to full speed where nobody asks for anything', () => {
    const planner = createFrequencyPlanner(machineOf(domain('policy0', [0])), {});
    expect(planner.plan([]).point).toEqual(planner.full);
    expect(planner.full).toEqual({ frequencyKhz: { policy0: 3_200_000 }, cpus: {} });
  });

  it('keeps to the operator’s range where the config’s lies outside it', () => {
    const narrow = { allowedMinKhz: kiloHertz(1_600_000), allowedMaxKhz: kiloHertz(2_400_000) };
    const machine = machineOf(domain('policy0', [0], narrow));
    const limits = { minKhz: kiloHertz(2_800_000), maxKhz: kiloHertz(3_200_000) };
    for (const level of [0, 0.5, 1])
      expect(planOne(machine, level, limits).point.frequencyKhz).toEqual({ policy0: 2_400_000 });
  });

  it('asks for the range’s end where no step lies in it', () => {
    const narrow = { allowedMinKhz: kiloHertz(1_700_000), allowedMaxKhz: kiloHertz(1_900_000) };
    const machine = machineOf(domain('policy0', [0], narrow));
    expect(planOne(machine, 1).point.frequencyKhz).toEqual({ policy0: 1_900_000 });
  });

  it('counts a domain that a point does not name as at full speed', () => {
    const planner = createFrequencyPlanner(machineOf(domain('policy0', [0]), domain('policy1', [1])), {});
    const level = planner.levelOf({ frequencyKhz: { policy0: kiloHertz(1_600_000) }, cpus: {} }, 'web');
    expect(level).toBe(0.75);
  });

  it('gives level 1 on a machine without frequency domains', () => {
    const planner = createFrequencyPlanner({ cpus: [cpuId(0)], domains: [] }, {});
    expect(planner.plan([{ service: 'web', level: 0.3 }])).toEqual({
      point: { frequencyKhz: {}, cpus: {} },
      levels: { web: 1 },
    });
  });
});

const frequency = fc.integer({ min: 400_000, max: 6_000_000 });
const anyDomain = fc
  .record({
    cpus: fc.integer({ min: 1, max: 8 }),
    hardware: fc.tuple(frequency, frequency),
    allowed: fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })),
    steps: fc.option(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 }), {
      nil: null,
    }),
  })
  .map(({ cpus, hardware, allowed, steps }) => {
    const [low, high] = [Math.min(...hardware), Math.max(...hardware)];
    const at = (share: number) => kiloHertz(Math.round(low + share * (high - low)));
    return domain(
      'policy0',
      Array.from({ length: cpus }, (_, cpu) => cpu),
      {
        minKhz: at(0),
        maxKhz: at(1),
        allowedMinKhz: at(Math.min(...allowed)),
        allowedMaxKhz: at(Math.max(...allowed)),
        stepsKhz: steps === null ? null : [...new Set(steps)].sort((a, b) => a - b).map(at),
      },
    );
  });
const anyMachine = fc
  .array(anyDomain, { minLength: 1, maxLength: 4 })
  .map((domains) => machineOf(...domains.map((each, index) => ({ ...each, id: `policy${index}` }))));
const anyLimits: fc.Arbitrary<PlanLimits> = fc
  .tuple(fc.option(frequency, { nil: undefined }), fc.option(frequency, { nil: undefined }))
  .map(([min, max]) => ({
    ...(min === undefined ? {} : { minKhz: kiloHertz(Math.min(min, max ?? min)) }),
    ...(max === undefined ? {} : { maxKhz: kiloHertz(Math.max(max, min ?? max)) }),
  }));
const anyLevel = fc.double({ min: 0, max: 1, noNaN: true });

describe('a plan', () => {
  it('never leaves the operator’s range, nor the config’s where both can be kept', () => {
    fc.assert(
      fc.property(anyMachine, anyLimits, anyLevel, (machine, limits, level) => {
        const { point } = planOne(machine, level, limits);
        for (const { id, allowedMinKhz, allowedMaxKhz } of machine.domains) {
          const khz = point.frequencyKhz[id]!;
          expect(khz).toBeGreaterThanOrEqual(allowedMinKhz);
          expect(khz).toBeLessThanOrEqual(allowedMaxKhz);
          if ((limits.maxKhz ?? Infinity) >= allowedMinKhz) expect(khz).toBeLessThanOrEqual(limits.maxKhz ?? Infinity);
        }
      }),
    );
  });

  it('never falls when the level rises', () => {
    fc.assert(
      fc.property(anyMachine, anyLimits, anyLevel, anyLevel, (machine, limits, a, b) => {
        const low = planOne(machine, Math.min(a, b), limits).point.frequencyKhz;
        const high = planOne(machine, Math.max(a, b), limits).point.frequencyKhz;
        for (const { id } of machine.domains) expect(low[id]).toBeLessThanOrEqual(high[id]!);
      }),
    );
  });

  it('gives every domain at least the level that was asked for, or its full speed', () => {
    fc.assert(
      fc.property(anyMachine, anyLimits, anyLevel, (machine, limits, level) => {
        const planner = createFrequencyPlanner(machine, limits);
        const { point } = planner.plan([{ service: 'web', level }]);
        for (const { id, maxKhz } of machine.domains) {
          const khz = point.frequencyKhz[id]!;
          expect(khz >= level * maxKhz * (1 - 1e-6) || khz === planner.full.frequencyKhz[id]).toBe(true);
        }
      }),
    );
  });

  it('is idempotent on one domain: the level that it gives asks for the same point', () => {
    fc.assert(
      fc.property(anyDomain, anyLimits, anyLevel, (only, limits, level) => {
        const machine = machineOf(only);
        const first = planOne(machine, level, limits);
        expect(planOne(machine, first.levels['web']!, limits)).toEqual(first);
      }),
    );
  });

  it('says the level that levelOf() reads from its point', () => {
    fc.assert(
      fc.property(anyMachine, anyLimits, anyLevel, (machine, limits, level) => {
        const planner = createFrequencyPlanner(machine, limits);
        const { point, levels } = planner.plan([{ service: 'web', level }]);
        expect(levels['web']).toBe(planner.levelOf(point, 'web'));
      }),
    );
  });
});
