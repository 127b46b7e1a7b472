import { describe, expect, it } from 'vitest';
import { controllers } from '../../src/controller/registry.ts';
import { isBetter, type Parameters, tunable, tuneParameters } from '../../src/study/tune-policy.ts';

const searched = [
  { name: 'a', values: [1, 2, 3, 4] },
  { name: 'b', values: [10, 20, 30] },
];

/** Best at a = 3, b = 30; a above 3 misses a window. */
const scoreOf = ({ a, b }: Parameters) => ({
  energyJ: 1000 - 10 * (a as number) - (b as number),
  windows: 5,
  missedWindows: (a as number) > 3 ? 1 : 0,
});

describe('tuneParameters()', () => {
  it('finds the least energy among what misses no window', async () => {
    const tried = await tuneParameters(searched, { a: 1, b: 10, kept: 'x' }, (candidates) =>
      Promise.resolve(candidates.map(scoreOf)),
    );
    expect(tried[0]).toMatchObject({ parameters: { a: 3, b: 30, kept: 'x' }, missedWindows: 0 });
    expect(tried.toSorted((one, other) => (isBetter(one, other) ? -1 : 1))[0]).toBe(tried[0]);
  });

  it('asks for nothing twice', async () => {
    const asked: string[] = [];
    await tuneParameters(searched, { a: 1, b: 10 }, (candidates) => {
      asked.push(...candidates.map((candidate) => JSON.stringify(candidate)));
      return Promise.resolve(candidates.map(scoreOf));
    });
    expect(new Set(asked).size).toBe(asked.length);
  });

  it('comes to nothing where it is stopped before a score', async () => {
    expect(await tuneParameters(searched, { a: 1, b: 10 }, (all) => Promise.resolve(all.map(() => undefined)))).toEqual(
      [],
    );
  });
});

describe('tunable', () => {
  it('names parameters and values that their controllers accept', () => {
    for (const [name, parameters] of Object.entries(tunable)) {
      for (const { name: parameter, values } of parameters) {
        for (const value of values) expect(() => controllers[name]!.create({ [parameter]: value })).not.toThrow();
      }
    }
  });
});
