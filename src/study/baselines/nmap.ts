import { NS_PER_MS } from '../../core/units.ts';
import type { Baseline } from './baseline.ts';
import { busyShares } from './busy-shares.ts';
import { ondemandKhz } from './ondemand.ts';

const LOOK_NS = NS_PER_MS;
/** Looks in a row that find requests waiting: the core polls, and does not keep up. */
const POLLED_LOOKS = 2;
/** Looks in a row that find none: interrupts are enough again. */
const QUIET_LOOKS = 10;

/** NMAP: a core that polls its queue, for more arrives than interrupts can hand over one by one, runs at the maximum. */
export const nmap: Baseline = {
  name: 'nmap',
  summary: 'A core whose queue does not empty runs at the maximum, others by ondemand’s rule',
  source:
    'Kang et al., "NMAP: Power Management Based on Network Packet Processing Mode Transition for Latency-Critical Workloads", MICRO 2021. Reconstructed from the abstract: it watches how packet processing goes between interrupt and polling mode and raises the frequency at once where a core polls too much. The plant has no packets: a core counts as polling when two looks in a row, a millisecond apart, find requests waiting for it, and as back at interrupts after ten that find none; between bursts ondemand\'s rule holds. The thresholds are assumed, not the paper\'s',
  intervalNs: () => LOOK_NS,
  start(facts) {
    const cores = facts.server.machine.cpus.length;
    const shares = busyShares(cores);
    const smoothed = new Float64Array(cores);
    const polled = new Int32Array(cores);
    const quiet = new Int32Array(cores).fill(QUIET_LOOKS);
    const bursting = new Uint8Array(cores);
    return (view) => {
      const busy = shares(view);
      for (let core = 0; core < cores; core++) {
        // Ondemand looks at ten milliseconds.
        smoothed[core] =
          smoothed[core]! + (busy[core]! - smoothed[core]!) * Math.min(1, view.elapsedNs / (10 * LOOK_NS));
        const waits = view.waiting(core) > 0;
        polled[core] = waits ? polled[core]! + 1 : 0;
        quiet[core] = waits ? 0 : quiet[core]! + 1;
        if (polled[core]! >= POLLED_LOOKS) bursting[core] = 1;
        else if (quiet[core]! >= QUIET_LOOKS) bursting[core] = 0;
      }
      return (core) => (bursting[core] === 1 ? facts.highestKhz : ondemandKhz(smoothed[core]!, facts));
    };
  },
};
