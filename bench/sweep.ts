/**
 * How a sweep scales over threads: `npx tsx bench/sweep.ts [ROUNDS] [SEEDS]`. The same sweep on one thread and on one for each
 * CPU, as commands of their own in pairs whose order alternates; real time, start of the program included. Each thread compiles
 * anew what runs hot, some two seconds of CPU time, so that a sweep of few seeds scales worse. On one thread V8 does that
 * beside it, on another CPU. All outputs must be the same to the byte. dist/ is built where that is needed.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { summaryOf } from './overhead/spread.ts';

const ROOT = join(import.meta.dirname, '..');
const PROGRAM = join(ROOT, 'dist', 'cli.js');
const seeds = process.argv[3] ?? '24';
const SWEEP = [
  ...['--policy', 'pid', '--policy', 'model', '--baseline', 'schedutil', '--trace', 'step', '--trace', 'mmpp'],
  ...['--seeds', seeds, '--duration', '60s', '--cores', '10', '--json'],
];
const rounds = Number(process.argv[2] ?? 5);
const all = availableParallelism();
const outputs = new Set<string>();
const pairs: { readonly alone: number; readonly together: number }[] = [];

spawnSync(process.execPath, [join(ROOT, 'deploy', 'build.mjs'), 'bundle'], { stdio: 'inherit' });
seconds(all);
for (let round = 0; round < rounds; round++) {
  const order = round % 2 === 0 ? [1, all] : [all, 1];
  const took = new Map(order.map((threads) => [threads, seconds(threads)]));
  pairs.push({ alone: took.get(1)!, together: took.get(all)! });
}
console.log(`${rounds} pairs: median (first to third quartile)`);
console.log(
  `  1 thread     ${summaryOf(
    pairs.map(({ alone }) => alone),
    2,
  )} s`,
);
console.log(
  `  ${all} threads    ${summaryOf(
    pairs.map(({ together }) => together),
    2,
  )} s`,
);
console.log(
  `  times as fast, pair by pair: ${summaryOf(
    pairs.map(({ alone, together }) => alone / together),
    2,
  )}`,
);
console.log(`outputs ${outputs.size === 1 ? 'equal' : 'DIFFERENT'}`);
process.exitCode = outputs.size === 1 ? 0 : 1;

function seconds(threads: number): number {
  const began = performance.now();
  const args = [PROGRAM, 'simulate', ...SWEEP, '--threads', String(threads)];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`tailgov simulate ended with ${status}: ${stderr}`);
  outputs.add(stdout);
  return (performance.now() - began) / 1000;
}
