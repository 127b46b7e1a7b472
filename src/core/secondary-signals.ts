import type { SecondarySignals } from './sensor.ts';

/**
 * Slack: the share (0..1) of their time that the serving threads waited for work. Near 1 the service is idle, near 0 it is
 * saturated. Null while no thread was seen to serve.
 */
export function slackRatio({ threadNs, waitedNs }: SecondarySignals): number | null {
  return threadNs > 0 ? Math.min(1, Math.max(0, waitedNs / threadNs)) : null;
}

/**
 * The squared coefficient of variation of the gaps between sends: their variance over the square of their mean. 1 for gaps
 * that are distributed exponentially, as those of Poisson arrivals to a service with much slack; 0 for even ones. Null with
 * fewer than two.
 */
export function gapVariation({ gaps, gapSumNs, gapSquareSumNs2 }: SecondarySignals): number | null {
  if (gaps < 2 || gapSumNs === 0) return null;
  const meanNs = gapSumNs / gaps;
  return Math.max(0, gapSquareSumNs2 / gaps / meanNs ** 2 - 1);
}

/** Two windows that follow one another, as one. */
export function addSecondarySignals(a: SecondarySignals, b: SecondarySignals): SecondarySignals {
  return {
    threadNs: a.threadNs + b.threadNs,
    waitedNs: a.waitedNs + b.waitedNs,
    gaps: a.gaps + b.gaps,
    gapSumNs: a.gapSumNs + b.gapSumNs,
    gapSquareSumNs2: a.gapSquareSumNs2 + b.gapSquareSumNs2,
  };
}
