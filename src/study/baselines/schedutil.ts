import { NS_PER_MS } from '../../core/units.ts';
import type { Baseline } from './baseline.ts';
import { busyShares } from './busy-shares.ts';

const HEADROOM = 1.25;
/** In the kernel's decaying average, what is so old counts half. */
const HALF_LIFE_NS = 32 * NS_PER_MS;

/**
 * Linux' schedutil, core by core: frequency = 1.25 · maximum · utilisation (`get_next_freq` in
 * kernel/sched/cpufreq_schedutil.c), utilisation being the decaying average of busy time in units of full capacity. The
 * controller `utilization` is the same formula as a policy, on the service's load and at a policy's interval.
 */
export const schedutil: Baseline = {
  name: 'schedutil',
  summary: 'Each core at 1.25 times its utilisation, ten milliseconds apart',
  source:
    "Linux' governor of that name: 1.25 · maximum · utilisation (kernel/sched/cpufreq_schedutil.c), utilisation with the half-life of 32 ms of kernel/sched/pelt.c. Assumed: a rate limit of 10 ms. Reconstructed: the average is brought forward once a look, over the busy share since the last one; requests are what runs, there are no other tasks, no iowait boost and no migration",
  intervalNs: () => 10 * NS_PER_MS,
  start({ server, highestKhz }) {
    const cores = server.machine.cpus.length;
    const shares = busyShares(cores);
    const utilizations = new Float64Array(cores);
    return (view) => {
      const busy = shares(view);
      const kept = 0.5 ** (view.elapsedNs / HALF_LIFE_NS);
      for (let core = 0; core < cores; core++) {
        const capacity = view.frequencyKhz(core) / highestKhz;
        utilizations[core] = kept * utilizations[core]! + (1 - kept) * busy[core]! * capacity;
      }
      return (core) => HEADROOM * highestKhz * utilizations[core]!;
    };
  },
};
