/**
 * How long requests will have to wait when a server goes on at a constant speed: not in balance, but from what waits now, for
 * a limited time. Work and speed are in shares of full capacity: a second of work keeps all of it busy for a second.
 */
export interface Queue {
  /** The work that waits now, in s. */
  readonly backlogS: number;
  /** Work that arrives a second. */
  readonly load: number;
  /** Standard deviation of the work of one second. */
  readonly loadDeviation: number;
}

/**
 * The wait, in s, that a share `quantile` of the requests does not exceed within the horizon. What arrives is taken as Brownian
 * motion with a drift, the limit that queues in heavy traffic tend to, so that after a time t the work that waits is below
 *
 *     backlog + (load − speed) · t + z · deviation · √t,   z = √(−2 ln(1 − quantile))
 *
 * with at least that chance (Chernoff's bound of the normal distribution). The wait is the highest value up to the horizon ÷
 * speed. With a far horizon and nothing waiting that is deviation² · −ln(1 − quantile) ÷ 2 ÷ (speed − load): the tail of a queue
 * in balance (Kingman, Mathematical Proceedings of the Cambridge Philosophical Society 57, 1961). Near the horizon a speed below
 * the load is no disaster, and one just above it no promise.
 */
export function waitTailS(queue: Queue, quantile: number, speed: number, horizonS: number): number {
  const { backlogS, load, loadDeviation } = queue;
  const reach = Math.sqrt(-2 * Math.log(1 - quantile)) * loadDeviation;
  const spare = speed - load;
  const peakS = spare > 0 ? Math.min(horizonS, (reach / (2 * spare)) ** 2) : horizonS;
  const reachedS = reach === 0 ? 0 : reach * Math.sqrt(peakS);
  return Math.max(0, backlogS - spare * peakS + reachedS) / speed;
}

/** How service and waiting tails combine: between the larger of the two and their sum. */
const COMBINATION = 1.5;

export const combinedTail = (serviceS: number, waitS: number): number =>
  (serviceS ** COMBINATION + waitS ** COMBINATION) ** (1 / COMBINATION);
