/**
 * How a sweep scales over threads: `npx tsx bench/sweep.ts [ROUNDS]`, after `npm run build`. The same sweep on one thread and on
 * one for each CPU in alternation, as commands of their own; real time, start of the program included. Its outputs must
 * be the same to the byte.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

const PROGRAM = join(import.meta.dirname, '..', 'dist', 'cli.js');
const SWEEP = [
  ...['--policy', 'pid', '--policy', 'model', '--baseline', 'schedutil', '--trace', 'step', '--trace', 'mmpp'],
  ...['--seeds', '6', '--duration', '60s', '--cores', '10', '--json'],
];
const rounds = Number(process.argv[2] ?? 5);
const threadCounts = [1, availableParallelism()];
const seconds = threadCounts.map((): number[] => []);
const outputs = new Set<string>();

for (let round = 0; round < rounds; round++) {
  threadCounts.forEach((threads, index) => {
    const began = performance.now();
    const args = [PROGRAM, 'simulate', ...SWEEP, '--threads', String(threads)];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`tailgov simulate ended with ${status}: ${stderr}`);
    seconds[index]!.push((performance.now() - began) / 1000);
    outputs.add(stdout);
  });
}
const medians = seconds.map((values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!);
threadCounts.forEach((threads, index) => {
  console.log(`${threads} threads: ${medians[index]!.toFixed(2)} s (median of ${rounds})`);
});
console.log(
  `${(medians[0]! / medians[1]!).toFixed(2)} times as fast; outputs ${outputs.size === 1 ? 'equal' : 'DIFFERENT'}`,
);
process.exitCode = outputs.size === 1 ? 0 : 1;
