import { describe, expect, it } from 'vitest';
import { Random } from '../../src/plant/random.ts';

const draw = (random: Random, count: number) => Array.from({ length: count }, () => random.nextUint32());

describe('Random', () => {
  it('repeats itself for the same seed and stream, across its blocks', () => {
    expect(draw(new Random(7, 'arrivals'), 3000)).toEqual(draw(new Random(7, 'arrivals'), 3000));
  });

  it('differs by seed, by the upper half of a large seed, and by stream', () => {
    const base = draw(new Random(7, 'arrivals'), 8);
    expect(draw(new Random(8, 'arrivals'), 8)).not.toEqual(base);
    expect(draw(new Random(7 + 2 ** 40, 'arrivals'), 8)).not.toEqual(base);
    expect(draw(new Random(7, 'demand'), 8)).not.toEqual(base);
  });

  it('does not correlate neighbouring seeds or streams', () => {
    const count = 20_000;
    const correlation = (a: Random, b: Random) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += (a.nextUnit() - 0.5) * (b.nextUnit() - 0.5) * 12;
      return sum / count;
    };
    // Standard deviation 1/√count = 0.007.
    expect(Math.abs(correlation(new Random(1, 'a'), new Random(2, 'a')))).toBeLessThan(0.03);
    expect(Math.abs(correlation(new Random(1, 'a'), new Random(1, 'b')))).toBeLessThan(0.03);
  });

  it('draws units strictly inside 0 and 1, evenly', () => {
    const random = new Random(1, 'units');
    const tenths = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) {
      const unit = random.nextUnit();
      if (unit <= 0 || unit >= 1) expect.fail(`${unit} drawn`);
      tenths[Math.floor(unit * 10)]!++;
    }
    // Chi-squared, 9 degrees of freedom: above 27.9 one time in a thousand.
    expect(tenths.reduce((sum, n) => sum + (n - 10_000) ** 2 / 10_000, 0)).toBeLessThan(27.9);
  });

  it('draws exponentials with the right distribution, tail included', () => {
    const random = new Random(1, 'exponentials');
    const count = 400_000;
    const over = [0.05, 0.5, 1, 3, 8].map((bound) => ({ bound, seen: 0 }));
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const x = random.nextExponential();
      sum += x;
      for (const each of over) if (x > each.bound) each.seen++;
    }
    expect(Math.abs(sum / count - 1)).toBeLessThan(4 / Math.sqrt(count));
    for (const { bound, seen } of over) {
      const expected = count * Math.exp(-bound);
      expect(Math.abs(seen - expected), `over ${bound}`).toBeLessThan(4 * Math.sqrt(expected));
    }
  });

  it('draws normals with the right distribution, on both sides and in the tail', () => {
    const random = new Random(1, 'normals');
    const count = 400_000;
    // The upper tail's probability, from tables.
    const over = [
      { bound: 0, probability: 0.5, seen: 0 },
      { bound: 1, probability: 0.158655, seen: 0 },
      { bound: 2, probability: 0.0227501, seen: 0 },
      { bound: 3.7, probability: 1.078e-4, seen: 0 },
    ];
    let square = 0;
    for (let i = 0; i < count; i++) {
      const x = random.nextNormal();
      square += x * x;
      for (const each of over) if (x > each.bound) each.seen++;
    }
    expect(Math.abs(square / count - 1)).toBeLessThan(4 * Math.sqrt(2 / count));
    for (const { bound, probability, seen } of over) {
      expect(Math.abs(seen - count * probability), `over ${bound}`).toBeLessThan(4 * Math.sqrt(count * probability));
    }
  });
});
