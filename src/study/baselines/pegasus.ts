import { Histogram } from '../../core/histogram.ts';
import { busyCoreWatts } from '../../core/power-model.ts';
import { NS_PER_MS, NS_PER_S } from '../../core/units.ts';
import type { Baseline, BaselineFacts } from './baseline.ts';

const LOOK_NS = 100 * NS_PER_MS;
const DECISION_NS = NS_PER_S;
const AVERAGED_DECISIONS = 30;
const BAIL_OUT_NS = 300 * NS_PER_S;

/**
 * What becomes of the power cap, as a share of full power, by latency ÷ target: the paper's rules for web search.
 * @returns the new cap
 */
export function pegasusCap(cap: number, latencyRatio: number): number {
  if (latencyRatio > 1.35) return 1;
  if (latencyRatio > 1) return Math.min(1, cap * 1.07);
  if (latencyRatio >= 0.85) return cap;
  return cap * (latencyRatio < 0.6 ? 0.97 : 0.99);
}

/** Pegasus: feedback from measured latency to a power cap for the whole server. */
export const pegasus: Baseline = {
  name: 'pegasus',
  summary: 'A power cap that follows thresholds on latency: +7 %, -1 %, -3 %, and full power on trouble',
  source:
    'Lo et al., "Towards Energy Proportionality for Large-Scale Latency-Critical Workloads", ISCA 2014. Reconstructed from the paper\'s description, and not checked against its table: thresholds 1.35, 1, 0.85 and 0.6 of the target, steps of +7 %, -1 % and -3 %, full power for five minutes when the average of 30 s is over the target. Assumed: a decision a second, on the quantile of that second; a cap is the highest frequency at which busy cores stay below this share of their full power',
  intervalNs: () => LOOK_NS,
  start(facts) {
    let cap = 1;
    let sinceNs = 0;
    let bailedOutUntilNs = 0;
    let khz = facts.highestKhz;
    let window = new Histogram();
    const ratios: number[] = [];
    return (view) => {
      if (view.snapshot !== null) window.add(view.snapshot.latency);
      if (view.nowNs - sinceNs >= DECISION_NS) {
        sinceNs = view.nowNs;
        if (window.count > 0) {
          const ratio = window.quantileNs(facts.slo.quantile) / facts.slo.latencyNs;
          window = new Histogram();
          ratios.push(ratio);
          if (ratios.length > AVERAGED_DECISIONS) ratios.shift();
          if (ratios.reduce((sum, one) => sum + one, 0) / ratios.length > 1)
            bailedOutUntilNs = view.nowNs + BAIL_OUT_NS;
          cap = view.nowNs < bailedOutUntilNs ? 1 : pegasusCap(cap, ratio);
          khz = highestWithin(cap, facts);
          // A cap below the lowest power would only have to come back.
          cap = Math.max(cap, powerShare(facts.lowestKhz, facts));
        }
      }
      return () => khz;
    };
  },
};

const powerShare = (khz: number, { server, highestKhz }: BaselineFacts) =>
  busyCoreWatts(server.power, khz) / busyCoreWatts(server.power, highestKhz);

const HALVINGS = 30;

/** Power rises with the frequency. */
function highestWithin(cap: number, facts: BaselineFacts): number {
  if (cap >= 1) return facts.highestKhz;
  let low = facts.lowestKhz;
  let high = facts.highestKhz;
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    if (powerShare(middle, facts) <= cap) low = middle;
    else high = middle;
  }
  return low;
}
