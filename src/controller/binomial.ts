/**
 * What counts can prove. A window holds `over` requests above the SLO among `requests`: these give the chance of such a
 * count, and the share of slow requests that it leaves possible. Requests are taken as independent; queueing ones are
 * not quite, so ask for more confidence than you need. Every function costs a few µs at most, whatever the counts.
 */

/** P(X ≤ k) for X binomial(n, p), summed in logarithms so that nothing underflows. Costs k steps. */
export function binomialAtMost(k: number, n: number, p: number): number {
  if (k >= n || p <= 0) return 1;
  if (k < 0 || p >= 1) return 0;
  const logOdds = Math.log(p) - Math.log1p(-p);
  let logTerm = n * Math.log1p(-p);
  let sum = Math.exp(logTerm);
  for (let i = 1; i <= k; i++) {
    logTerm += Math.log((n - i + 1) / i) + logOdds;
    sum += Math.exp(logTerm);
  }
  return Math.min(1, sum);
}

/** Counts up to this are summed exactly; above it closed forms stand in, which err on the safe side. */
const MOST_SUMMED = 20;

/**
 * P(X ≥ k): the chance of at least `k` slow requests among `n` while the true share is `p`. Above a count of twenty, the
 * bound of Chernoff and Hoeffding instead (Journal of the American Statistical Association 58, 1963), which is never too low.
 */
export function binomialAtLeast(k: number, n: number, p: number): number {
  if (k <= MOST_SUMMED || k > n) return 1 - binomialAtMost(k - 1, n, p);
  const share = k / n;
  if (share <= p) return 1;
  if (p <= 0) return 0;
  const divergence = share * Math.log(share / p) + (share < 1 ? (1 - share) * Math.log((1 - share) / (1 - p)) : 0);
  return Math.exp(-n * divergence);
}

const BISECTIONS = 26;

/**
 * The highest share of slow requests that `over` of `requests` leaves possible at this one-sided confidence, 0..1: the
 * upper bound of Clopper and Pearson (Biometrika 26, 1934), found by bisection. Above a count of twenty, the bound for
 * a Poisson count instead, which is a little higher: half a chi-squared quantile, by Wilson and Hilferty's approximation
 * (Proceedings of the National Academy of Sciences 17, 1931). 1 where there are no requests.
 */
export function highestShare(over: number, requests: number, confidence: number): number {
  if (over >= requests) return 1;
  // The closed form of the usual case.
  if (over === 0) return 1 - (1 - confidence) ** (1 / requests);
  if (over > MOST_SUMMED) return Math.min(1, highestPoissonMean(over, confidence) / requests);
  let low = over / requests;
  let high = 1;
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2;
    if (binomialAtMost(over, requests, middle) > 1 - confidence) low = middle;
    else high = middle;
  }
  return high;
}

/** The mean under which `count` or fewer have the chance 1 − confidence. */
function highestPoissonMean(count: number, confidence: number): number {
  const degrees = 2 * (count + 1);
  const spread = 2 / (9 * degrees);
  return (degrees * (1 - spread + normalQuantile(confidence) * Math.sqrt(spread)) ** 3) / 2;
}

/** The standard normal quantile for 0.5 ≤ p < 1, within 4.5e-4: formula 26.2.23 of Abramowitz and Stegun, 1964. */
function normalQuantile(p: number): number {
  const t = Math.sqrt(-2 * Math.log(1 - p));
  const numerator = 2.515517 + t * (0.802853 + t * 0.010328);
  const denominator = 1 + t * (1.432788 + t * (0.189269 + t * 0.001308));
  return t - numerator / denominator;
}
