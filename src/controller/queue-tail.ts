/**
 * How the tail of latency follows from utilisation, in a queue with `parallelism` servers. Times are in mean service times, so
 * one formula serves every speed: slowing a server down stretches its time and raises its utilisation, and nothing else.
 */

/** Beyond this utilisation a queue has no steady state worth the name. */
export const HIGHEST_UTILIZATION = 0.99;

/**
 * The chance that a request has to wait at all: 1 for no idle server, by Sakasegawa's approximation of the Erlang C formula
 * (Annals of the Institute of Statistical Mathematics 29, 1977).
 */
export function chanceOfWaiting(utilization: number, parallelism: number): number {
  return utilization ** (Math.sqrt(2 * (parallelism + 1)) - 1);
}

/**
 * Mean wait in an M/G/k queue, by Sakasegawa's approximation.
 *
 * @param variability (1 + squared coefficient of variation of the service time) ÷ 2: 0.5 constant, 1 exponential
 */
export function meanWait(utilization: number, parallelism: number, variability: number): number {
  return (variability * chanceOfWaiting(utilization, parallelism)) / (parallelism * (1 - utilization));
}

/** How service and waiting tails combine: between the larger of the two and their sum. Fits M/M/1 within 16 %. */
const COMBINATION = 1.5;

/**
 * The latency that a share `quantile` of the requests does not exceed. The waiting time of those that wait is exponential
 * (exactly so in M/M/k, and in heavy traffic in general), and service is taken as exponential, too.
 */
export function tailOf(quantile: number, utilization: number, parallelism: number, variability: number): number {
  const beyond = 1 - quantile;
  const service = -Math.log(beyond);
  if (utilization <= 0) return service;
  const rho = Math.min(HIGHEST_UTILIZATION, utilization);
  const waiting =
    (variability * Math.max(0, Math.log(chanceOfWaiting(rho, parallelism) / beyond))) / (parallelism * (1 - rho));
  return (service ** COMBINATION + waiting ** COMBINATION) ** (1 / COMBINATION);
}
