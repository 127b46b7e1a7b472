import { describe, expect, it } from 'vitest';
import { followSpending, type Spending, spendingFrom } from '../../src/controller/spending.ts';
import { input } from './observation.ts';

const options = { budget: 0.8, gain: 1.5, least: -0.5, most: 1 };
const start = spendingFrom(0);

/** Steps of 100 ms with a thousand requests each, ten of which may be slow. */
function spend(steps: number, overSlo: number, requests = 1000): Spending {
  const latest = { windowMs: 100, arrivals: requests, requests, overSlo, quantileNs: null };
  let spending = start;
  for (let i = 0; i < steps; i++) spending = followSpending(spending, input({ latest }), options);
  return spending;
}

describe('followSpending()', () => {
  it('rests where the budget is spent, but for what chance can do to it', () => {
    // Ten thousand requests a second may have 6,000 slow ones a minute: 0.8 of that, less two standard deviations.
    const spendable = 10 * 0.8 * (1 - 2 / Math.sqrt(6000));
    expect(spend(100, spendable).margin).toBeCloseTo(0, 9);
  });

  it('leaves the more of a budget the smaller it is', () => {
    // The same share of slow requests: too many of thirty a second, where a minute tolerates eighteen.
    expect(spend(100, 0.018, 3).margin).toBeGreaterThan(0);
    expect(spend(100, 6, 1000).margin).toBeLessThan(0);
  });

  it('grows while more is spent and shrinks while less is, up to its bounds', () => {
    expect(spend(100, 20).margin).toBeGreaterThan(0.1);
    expect(spend(100, 0).margin).toBeLessThan(-0.1);
    expect(spend(5000, 1000).margin).toBe(1);
    expect(spend(5000, 0).margin).toBe(-0.5);
  });

  it('wins back what a burst has overspent, and learns little from it', () => {
    // Half of a minute's budget in one step.
    const burst = { windowMs: 100, arrivals: 4000, requests: 4000, overSlo: 3000, quantileNs: null };
    const rested = spend(3000, 8);
    const after = followSpending(rested, input({ latest: burst }), options);
    expect(after.margin).toBe(1);
    expect(after.usual - rested.usual).toBeLessThan(0.1);
    let later = after;
    const quiet = { ...burst, overSlo: 0 };
    for (let i = 0; i < 400; i++) later = followSpending(later, input({ latest: quiet }), options);
    expect(later.margin).toBeLessThan(after.margin);
  });

  it('learns nothing from a step in which nothing completed', () => {
    expect(spend(10, 0, 0)).toBe(start);
  });
});
