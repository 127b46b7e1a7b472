import { basename } from 'node:path';
import type { RecordedPrediction } from '../core/recording-format.ts';
import { formatNs, formatPercent } from '../core/units.ts';

/** What a dry run predicted and what the plant makes of the same requests, in one sentence. */
export function predictionLine(
  { policy, requests, overSlo, quantileNs, meanLevel }: RecordedPrediction,
  simulated: { readonly quantileNs: number; readonly violationRatio: number; readonly meanLevel: number },
): string {
  const figures = (ns: number, late: number, level: number) =>
    `${formatNs(ns)}, ${formatPercent(late, 2)} late, mean level ${level.toFixed(3)}`;
  return (
    `The dry run predicted of ${basename(policy).replace(/\.ya?ml$/, '')}: ${figures(quantileNs, requests === 0 ? 0 : overSlo / requests, meanLevel)}; ` +
    `simulated: ${figures(simulated.quantileNs, simulated.violationRatio, simulated.meanLevel)}.`
  );
}
