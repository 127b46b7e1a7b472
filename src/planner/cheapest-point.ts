import { busyCoreWatts, type PowerModel } from '../core/power-model.ts';

/** Some of a service's cores at one share of their highest frequency. */
export interface CorePoint {
  readonly cores: number;
  readonly share: number;
}

export interface PointSearch {
  readonly power: PowerModel;
  /** What the shares are of. */
  readonly maxKhz: number;
  /** All that the service may have, and the fewest. */
  readonly coreCount: number;
  readonly minCores: number;
  /** The shares at which the cores can run, ascending. */
  readonly rungs: readonly number[];
}

/** A gain smaller than this moves no core. */
const WORTH_MOVING = 0.02;
const EPSILON = 1e-9;

/**
 * Modelled power, in W, of the package while the load (a share of full capacity) is served at the point: cores that are granted
 * sleep lightly between two requests, the others deeply. What has to be done takes the longer the slower it is done, so that
 * below some frequency slower is dearer.
 */
export function pointWatts(search: PointSearch, { cores, share }: CorePoint, loadRatio: number): number {
  const { power, maxKhz, coreCount } = search;
  const busy = Math.min(1, (loadRatio * coreCount) / (cores * share));
  const granted = power.idleCoreWatts * (1 - busy) + busyCoreWatts(power, share * maxKhz) * busy;
  const parked = power.parkedCoreWatts ?? power.idleCoreWatts;
  return power.staticWatts + cores * granted + (coreCount - cores) * parked;
}

/**
 * The point that draws least at this load among those that give the level; of equals the one with the fewest cores, so that at
 * low load, where no lower voltage is left to win, work is packed on few cores (as Peafowl does: Asyabi et al., SoCC 2020).
 * @param nowCores what the service has: kept, unless another number is worth the move
 */
export function cheapestPoint(search: PointSearch, level: number, loadRatio: number, nowCores?: number): CorePoint {
  const { coreCount, minCores, rungs } = search;
  const least = Math.max(minCores, Math.ceil(level * coreCount - EPSILON), 1);
  const best = new Map<number, { readonly point: CorePoint; readonly watts: number }>();
  for (let cores = Math.min(least, coreCount); cores <= coreCount; cores++) {
    const enough = rungs.filter((share) => cores * share >= level * coreCount - EPSILON);
    for (const share of enough.length > 0 ? enough : [rungs.at(-1) ?? 1]) {
      const point = { cores, share };
      const watts = pointWatts(search, point, loadRatio);
      if (watts < (best.get(cores)?.watts ?? Infinity) - EPSILON) best.set(cores, { point, watts });
    }
  }
  const cheapest = [...best.values()].reduce((a, b) => (b.watts < a.watts - EPSILON ? b : a));
  const stay = nowCores === undefined ? undefined : best.get(nowCores);
  return stay !== undefined && stay.watts <= cheapest.watts * (1 + WORTH_MOVING) ? stay.point : cheapest.point;
}
