/**
 * What counts can prove. A window holds `over` requests above the SLO among `requests`: these give the chance of such a
 * count, and the share of slow requests that it leaves possible. Requests are taken as independent; queueing ones are
 * not quite, so ask for more confidence than you need.
 */

/** P(X ≤ k) for X binomial(n, p), summed in logarithms so that nothing underflows. */
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

/** P(X ≥ k): the chance of at least `k` slow requests among `n` while the true share is `p`. */
export const binomialAtLeast = (k: number, n: number, p: number): number => 1 - binomialAtMost(k - 1, n, p);

const BISECTIONS = 30;

/**
 * The highest share of slow requests that `over` of `requests` leaves possible at this one-sided confidence, 0..1: the
 * upper bound of Clopper and Pearson (Biometrika 26, 1934), found by bisection. 1 where there are no requests.
 */
export function highestShare(over: number, requests: number, confidence: number): number {
  if (over >= requests) return 1;
  // The closed form of the usual case.
  if (over === 0) return 1 - (1 - confidence) ** (1 / requests);
  let low = over / requests;
  let high = 1;
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2;
    if (binomialAtMost(over, requests, middle) > 1 - confidence) low = middle;
    else high = middle;
  }
  return high;
}
