/**
 * A step of the load from 20 % to 80 % on the simulated server, seed after seed: in how many of the ten seconds after it the
 * objective was missed. `npx tsx bench/step-of-load.ts [SEEDS]`. test/compose/step-of-load.test.ts asks the same of one seed.
 */
import { toleratedRatio } from '../src/core/slo.ts';
import { NS_PER_S } from '../src/core/units.ts';
import { END_NS, lateRatio, runStep, slo, STEP_NS } from '../test/compose/step-of-load.ts';

const seeds = Number(process.argv[2] ?? 40);

for (const policy of ['model', 'pid', 'threshold']) {
  const ratios: number[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const { windows } = runStep(policy, seed);
    for (let fromNs = STEP_NS; fromNs < END_NS; fromNs += NS_PER_S) {
      ratios.push(lateRatio(windows, fromNs, fromNs + NS_PER_S));
    }
  }
  const missed = ratios.filter((ratio) => ratio > toleratedRatio(slo)).length;
  const percent = (ratio: number) => `${(100 * ratio).toFixed(2)} %`;
  const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
  const figures = `late ${percent(mean)} in the mean, ${percent(Math.max(...ratios))} in the worst second`;
  console.log(`${policy}: ${missed} of ${ratios.length} seconds over the SLO, ${figures}`);
}
