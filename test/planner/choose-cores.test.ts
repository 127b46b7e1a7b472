import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseCores } from '../../src/planner/choose-cores.ts';
import { physicalCores } from '../../src/planner/physical-cores.ts';
import { cpuId } from '../../src/core/units.ts';
import { machineOf, shapes } from './random-machine.ts';

const TWO_SOCKETS = machineOf({
  ...{ packages: 2, nodesPerPackage: 1, coresPerNode: 4, threads: 2, coresPerDomain: 1, stepped: true },
});

const choose = (count: number, now: number[] = [], reserved: number[] = []) => {
  const eligible = physicalCores(TWO_SOCKETS, reserved);
  const chosen = chooseCores([{ service: 'web', count, eligible, now: now.map(cpuId) }]);
  return chosen.get('web')!.flatMap(({ cpus }) => cpus);
};

describe('physicalCores()', () => {
  it('keeps the threads of a core together, and one package before the next', () => {
    expect(physicalCores(TWO_SOCKETS).map(({ cpus }) => cpus)).toEqual([
      ...[
        [0, 8],
        [1, 9],
        [2, 10],
        [3, 11],
      ],
      ...[
        [4, 12],
        [5, 13],
        [6, 14],
        [7, 15],
      ],
    ]);
  });

  it('leaves out reserved and offline CPUs', () => {
    const cpus = TWO_SOCKETS.cpus.filter((cpu) => cpu !== 9);
    const cores = physicalCores({ ...TWO_SOCKETS, cpus }, [0, 8, 2]);
    expect(cores.map((core) => core.cpus).slice(0, 3)).toEqual([[1], [10], [3, 11]]);
  });

  it('takes each CPU for a core where the machine does not say', () => {
    const cpus = [0, 1, 2].map(cpuId);
    expect(physicalCores({ cpus, domains: [] }).map((core) => core.cpus)).toEqual([[0], [1], [2]]);
  });
});

describe('chooseCores()', () => {
  it('fills a package before the next', () => {
    expect(choose(3)).toEqual([0, 8, 1, 9, 2, 10]);
    expect(choose(5)).toEqual([0, 8, 1, 9, 2, 10, 3, 11, 4, 12]);
  });

  it('begins where there is most room', () => {
    expect(choose(2, [], [0, 8])).toEqual([4, 12, 5, 13]);
  });

  it('grows beside what it has and gives up what is furthest away', () => {
    expect(choose(2, [5, 13])).toEqual([4, 12, 5, 13]);
    expect(choose(2, [3, 11, 5, 13, 6, 14])).toEqual([5, 13, 6, 14]);
  });

  it('shares only when there is no free core left', () => {
    const eligible = physicalCores(TWO_SOCKETS);
    const demand = (service: string, count: number) => ({ service, count, eligible, now: [] });
    const apart = chooseCores([demand('a', 4), demand('b', 4)]);
    expect(apart.get('a')!.map(({ package: number }) => number)).toEqual([0, 0, 0, 0]);
    expect(apart.get('b')!.map(({ package: number }) => number)).toEqual([1, 1, 1, 1]);
    expect(chooseCores([demand('a', 8), demand('b', 1)]).get('b')).toHaveLength(1);
  });

  it('for random machines: whole cores, no more moves than needed, disjoint where there is room', () => {
    const property = fc.property(
      shapes,
      fc.array(fc.tuple(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 1, max: 24 })), {
        minLength: 1,
        maxLength: 6,
      }),
      (shape, counts) => {
        const eligible = physicalCores(machineOf(shape));
        let now: Readonly<Record<string, readonly number[]>> = { a: [], b: [] };
        for (const wanted of counts) {
          const [a, b] = wanted.map((count) => Math.min(count, eligible.length)) as [number, number];
          const demand = (service: string, count: number) => ({
            ...{ service, count, eligible },
            now: now[service]!.map(cpuId),
          });
          const chosen = chooseCores([demand('a', a), demand('b', b)]);
          const cpusOf = (service: string) => chosen.get(service)!.flatMap(({ cpus }) => cpus);
          expect(chosen.get('a')).toHaveLength(a);
          expect(chosen.get('b')).toHaveLength(b);
          const shared = cpusOf('a').filter((cpu) => cpusOf('b').includes(cpu));
          if (a + b <= eligible.length) expect(shared).toEqual([]);
          // The first service grows or shrinks, and never does both.
          const kept = cpusOf('a').filter((cpu) => now['a']!.includes(cpu)).length;
          expect(kept).toBe(Math.min(now['a']!.length, cpusOf('a').length));
          now = { a: cpusOf('a'), b: cpusOf('b') };
          expect(
            chooseCores([demand('a', a), demand('b', b)])
              .get('a')!
              .flatMap(({ cpus }) => cpus),
          ).toEqual(now['a']);
        }
      },
    );
    fc.assert(property, { numRuns: 200 });
  });
});
