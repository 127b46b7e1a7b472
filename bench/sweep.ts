/**
 * How a sweep scales over CPUs: `npx tsx bench/sweep.ts [ROUNDS] [SEEDS]`. The same sweep held to one CPU, on one thread with all
 * CPUs, and on a thread for each CPU, as commands of their own in an order that goes round; real time, start of the program
 * included. One thread with all CPUs is quicker than one CPU: V8 compiles and collects garbage beside it. Each thread compiles
 * anew what runs hot, some two seconds of CPU time, so that a sweep of few seeds scales worse. All outputs must be the same
 * to the byte. dist/ is built where that is needed.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { buildBundle } from './build-bundle.ts';
import { summaryOf } from './overhead/spread.ts';

const ROOT = join(import.meta.dirname, '..');
const PROGRAM = join(ROOT, 'dist', 'cli.js');
const seeds = process.argv[3] ?? '48';
const SWEEP = [
  ...['--policy', 'pid', '--policy', 'model', '--baseline', 'schedutil', '--trace', 'step', '--trace', 'mmpp'],
  ...['--seeds', seeds, '--duration', '60s', '--cores', '10', '--json'],
];
const rounds = Number(process.argv[2] ?? 5);
const all = availableParallelism();
const outputs = new Set<string>();
/** What is waited for, by what runs. */
const WAYS = { 'one CPU': () => seconds(1, true), 'one thread': () => seconds(1), 'all CPUs': () => seconds(all) };
type Way = keyof typeof WAYS;
const ways = Object.keys(WAYS) as Way[];
const took: Readonly<Record<Way, number>>[] = [];

buildBundle();
seconds(all);
for (let round = 0; round < rounds; round++) {
  const order = ways.map((_, index) => ways[(round + index) % ways.length]!);
  took.push(Object.fromEntries(order.map((way) => [way, WAYS[way]()])) as Record<Way, number>);
}
console.log(`${rounds} rounds on ${all} CPUs: median (first to third quartile)`);
const line = (name: string, values: readonly number[], unit: string) =>
  console.log(`  ${name.padEnd(38)}${summaryOf(values, 2)}${unit}`);
for (const way of ways) {
  line(
    way,
    took.map((round) => round[way]),
    ' s',
  );
}
for (const way of ['one CPU', 'one thread'] as const) {
  line(
    `all CPUs, times as fast as ${way}`,
    took.map((round) => round[way] / round['all CPUs']),
    '',
  );
}
console.log(outputs.size === 1 ? 'outputs equal' : 'outputs DIFFER');
process.exitCode = outputs.size === 1 ? 0 : 1;

/** @param held to the first CPU */
function seconds(threads: number, held = false): number {
  const began = performance.now();
  const command = [process.execPath, PROGRAM, 'simulate', ...SWEEP, '--threads', String(threads)];
  const [program, ...args] = held ? ['taskset', '-c', '0', ...command] : command;
  const { status, stdout, stderr } = spawnSync(program!, args, { encoding: 'utf8', maxBuffer: 64 * 2 ** 20 });
  if (status !== 0) throw new Error(`tailgov simulate ended with ${status}: ${stderr}`);
  outputs.add(stdout);
  return (performance.now() - began) / 1000;
}
