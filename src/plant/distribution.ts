import type { Random } from './random.ts';

/** How long things take, in ns: service demands and think times. Plain data. */
export type Distribution =
  | { readonly kind: 'deterministic'; readonly meanNs: number }
  | { readonly kind: 'exponential'; readonly meanNs: number }
  /** sigma: the standard deviation of the logarithm. */
  | { readonly kind: 'lognormal'; readonly meanNs: number; readonly sigma: number }
  | { readonly kind: 'bimodal'; readonly shortNs: number; readonly longNs: number; readonly longRatio: number }
  /** Density ∝ x^(−alpha−1) between the bounds. */
  | { readonly kind: 'bounded-pareto'; readonly alpha: number; readonly minNs: number; readonly maxNs: number }
  /** Draws from the values at random, with replacement. */
  | { readonly kind: 'empirical'; readonly valuesNs: ArrayLike<number> }
  /** Takes the values one by one, and then from the first again: what a replay does. */
  | { readonly kind: 'sequence'; readonly valuesNs: ArrayLike<number> };

/** E[X] in ns. */
export function meanNsOf(distribution: Distribution): number {
  return rawMoment(distribution, 1);
}

/** The squared coefficient of variation, Var[X] ÷ E[X]²: 0 deterministic, 1 exponential, more where tails are heavy. */
export function variabilityOf(distribution: Distribution): number {
  return rawMoment(distribution, 2) / meanNsOf(distribution) ** 2 - 1;
}

function rawMoment(distribution: Distribution, order: 1 | 2): number {
  switch (distribution.kind) {
    case 'deterministic':
      return distribution.meanNs ** order;
    case 'exponential':
      return order * distribution.meanNs ** order;
    case 'lognormal':
      return distribution.meanNs ** order * (order === 1 ? 1 : Math.exp(distribution.sigma ** 2));
    case 'bimodal': {
      const { shortNs, longNs, longRatio } = distribution;
      return (1 - longRatio) * shortNs ** order + longRatio * longNs ** order;
    }
    case 'bounded-pareto': {
      const { alpha, minNs, maxNs } = distribution;
      const normalizer = alpha / (minNs ** -alpha - maxNs ** -alpha);
      const power = order - alpha;
      return normalizer * (power === 0 ? Math.log(maxNs / minNs) : (maxNs ** power - minNs ** power) / power);
    }
    case 'empirical':
    case 'sequence': {
      let sum = 0;
      for (let i = 0; i < distribution.valuesNs.length; i++) sum += distribution.valuesNs[i]! ** order;
      return sum / distribution.valuesNs.length;
    }
  }
}

/** @returns what is wrong with the parameters, or undefined. */
export function problemOf(distribution: Distribution): string | undefined {
  switch (distribution.kind) {
    case 'deterministic':
    case 'exponential':
      return expectAll({ meanNs: distribution.meanNs > 0 });
    case 'lognormal':
      return expectAll({ meanNs: distribution.meanNs > 0, sigma: distribution.sigma >= 0 });
    case 'bimodal': {
      const { shortNs, longNs, longRatio } = distribution;
      return expectAll({
        shortNs: shortNs >= 0,
        longNs: longNs >= shortNs && longNs > 0,
        longRatio: longRatio >= 0 && longRatio <= 1,
      });
    }
    case 'bounded-pareto': {
      const { alpha, minNs, maxNs } = distribution;
      return expectAll({ alpha: alpha > 0, minNs: minNs > 0, maxNs: maxNs > minNs });
    }
    case 'empirical':
    case 'sequence':
      return expectAll({ valuesNs: distribution.valuesNs.length > 0 });
  }
}

function expectAll(expectations: Readonly<Record<string, boolean>>): string | undefined {
  const broken = Object.keys(expectations).filter((name) => expectations[name] !== true);
  return broken.length === 0 ? undefined : `${broken.join(', ')} out of range`;
}

const BLOCK = 512;

/** Draws one after the other from a distribution. Made in blocks: a tight loop is several times faster than single calls. */
export class SampleStream {
  private readonly block = new Float64Array(BLOCK);
  private readonly fill: (block: Float64Array) => void;
  private used = BLOCK;

  constructor(distribution: Distribution, random: Random) {
    const problem = problemOf(distribution);
    if (problem !== undefined) throw new RangeError(`cannot draw from a ${distribution.kind} distribution: ${problem}`);
    this.fill = filler(distribution, random);
  }

  next(): number {
    if (this.used === BLOCK) {
      this.fill(this.block);
      this.used = 0;
    }
    return this.block[this.used++]!;
  }
}

function filler(distribution: Distribution, random: Random): (block: Float64Array) => void {
  switch (distribution.kind) {
    case 'deterministic': {
      const { meanNs } = distribution;
      return (block) => block.fill(meanNs);
    }
    case 'exponential': {
      const { meanNs } = distribution;
      return (block) => {
        for (let i = 0; i < block.length; i++) block[i] = meanNs * random.nextExponential();
      };
    }
    case 'lognormal': {
      const { meanNs, sigma } = distribution;
      // Scaled from outside the exponent, so that twice the mean is exactly twice each draw.
      const offset = -(sigma ** 2) / 2;
      return (block) => {
        for (let i = 0; i < block.length; i++) block[i] = meanNs * Math.exp(offset + sigma * random.nextNormal());
      };
    }
    case 'bimodal': {
      const { shortNs, longNs, longRatio } = distribution;
      return (block) => {
        for (let i = 0; i < block.length; i++) block[i] = random.nextUnit() < longRatio ? longNs : shortNs;
      };
    }
    case 'bounded-pareto': {
      const { alpha, minNs, maxNs } = distribution;
      const cut = 1 - (minNs / maxNs) ** alpha;
      return (block) => {
        for (let i = 0; i < block.length; i++) block[i] = minNs * (1 - random.nextUnit() * cut) ** (-1 / alpha);
      };
    }
    case 'empirical': {
      const { valuesNs } = distribution;
      return (block) => {
        for (let i = 0; i < block.length; i++) block[i] = valuesNs[Math.floor(random.nextUnit() * valuesNs.length)]!;
      };
    }
    case 'sequence': {
      const { valuesNs } = distribution;
      let next = 0;
      return (block) => {
        for (let i = 0; i < block.length; i++) {
          block[i] = valuesNs[next]!;
          next = next + 1 === valuesNs.length ? 0 : next + 1;
        }
      };
    }
  }
}
