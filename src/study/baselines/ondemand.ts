import { NS_PER_MS } from '../../core/units.ts';
import type { Baseline, BaselineFacts } from './baseline.ts';
import { busyShares } from './busy-shares.ts';

const UP_THRESHOLD = 0.95;

/** `od_update`: the maximum above the threshold, else in proportion between lowest and highest. @param load busy share, 0..1 */
export function ondemandKhz(load: number, { lowestKhz, highestKhz }: BaselineFacts): number {
  return load > UP_THRESHOLD ? highestKhz : lowestKhz + load * (highestKhz - lowestKhz);
}

/** Linux' ondemand, core by core. */
export const ondemand: Baseline = {
  name: 'ondemand',
  summary: 'A core that was busy for more than 95 % of ten milliseconds runs at the maximum, others in proportion',
  source:
    "Linux' governor of that name: od_update in drivers/cpufreq/cpufreq_ondemand.c, with the up_threshold of 95 that it takes where idle times are exact. Assumed: a sampling interval of 10 ms, a sampling_down_factor of 1, no powersave bias",
  intervalNs: () => 10 * NS_PER_MS,
  start(facts) {
    const shares = busyShares(facts.server.machine.cpus.length);
    return (view) => {
      const busy = shares(view);
      return (core) => ondemandKhz(busy[core]!, facts);
    };
  },
};
