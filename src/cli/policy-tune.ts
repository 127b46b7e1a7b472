import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { UsageError } from '../core/errors.ts';
import { formatNs, formatPercent, formatQuantile, NS_PER_S } from '../core/units.ts';
import { xeonSilver4114 } from '../plant/servers.ts';
import { objectiveOption } from '../study/objective.ts';
import { serverFrom } from '../study/scenario.ts';
import { runTasks } from '../study/sweep/run-tasks.ts';
import { namesOfLoad, type SweepCell, sweepCells } from '../study/sweep/sweep-cell.ts';
import type { PolicyReference, SweepTask } from '../study/sweep/sweep-task.ts';
import { type Parameters, type Score, scoreOf, tunable, tuneParameters, type Tried } from '../study/tune-policy.ts';
import { durationOption } from './duration-option.ts';
import { packageVersion } from './package-root.ts';
import { type TuneLiveOptions, tunePolicyLive } from './policy-tune-live.ts';
import { policyFile, readyPolicies } from './ready-policies.ts';
import { runtimeOption } from './runtime-directory.ts';
import { seedsFrom, sweepProgram, untilInterrupted } from './simulate-sweep.ts';
import { simulatedDurationNs } from './simulated-duration.ts';
import { describedPolicy, refuseOverwriting, type TunablePolicy, tunablePolicy } from './tunable-policy.ts';
import { wholeNumber } from './whole-number.ts';

const LIVE_ONLY = ['bounds', 'block', 'warmup', 'limit'];
const SIMULATED_ONLY = ['policy', 'workload', 'trace', 'recording', 'slo', 'power'].concat([
  ...['duration', 'cores', 'seed', 'seeds', 'threads'],
]);

interface TuneOptions {
  readonly policy: string;
  readonly workload?: readonly string[];
  readonly trace?: readonly string[];
  readonly recording?: readonly string[];
  readonly slo?: string;
  readonly power?: string;
  readonly duration?: string;
  readonly cores?: string;
  readonly seed: string;
  readonly seeds: string;
  readonly threads?: string;
  readonly output: string;
  readonly force?: true;
}

/** How many of the best are held against seeds that the search did not see before it gives up. */
const MOST_VALIDATED = 5;

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function policyTuneCommand(): Command {
  return new Command('tune')
    .description(
      'Search a policy’s parameters, in simulation or live: the least energy that keeps the SLO in every compliance window',
    )
    .option('--policy <file>', `where to start; its controller is one of ${Object.keys(tunable).join(', ')}`, 'pid')
    .option('--workload <name>', 'what the service is like (default: "microservice"), each time it is given', collect)
    .option('--trace <name>', 'the load, each time it is given (default: step, diurnal and mmpp)', collect)
    .option(
      '--recording <file>',
      'search with the first half of what `observe --record` recorded, check with all of it; each time it is given',
      collect,
    )
    .option('--slo <objective>', "such as p99:5ms (default: the workload's or the recording's)")
    .option('--power <file>', `the server's frequencies and power (default: a ${xeonSilver4114.power.name})`)
    .option('--duration <time>', "simulated time of each run (default: 2min, or a recording's own)")
    .option('--cores <number>', 'cores of the simulated server (default: 4; in a replay, as many as served)')
    .option('--seed <number>', 'the first seed', '1')
    .option('--seeds <number>', 'so many seeds to search with, and as many others to check with', '3')
    .option('--threads <number>', 'threads (default: one for each CPU)')
    .option(
      '--live <service>',
      'on the running daemon instead, from the policy that governs the service, which governs again in the end',
    )
    .option('--bounds <range>', '--live: what may be tried, such as setpoint=0.7..0.9, each time it is given', collect)
    .option('--block <time>', '--live: how long each candidate governs', durationOption('--block', 2000), 120_000)
    .option('--warmup <time>', '--live: of each block, left out of the figures', durationOption('--warmup', 0), 10_000)
    .option(
      '--limit <times>',
      '--live: give up beyond so many times the late requests that the SLO tolerates',
      limit,
      2,
    )
    .addOption(runtimeOption())
    .option('--output <file>', 'the policy file to write', 'tuned.yaml')
    .option('--force', 'overwrite the file if it is there')
    .addHelpText(
      'after',
      `
Example:
  tailgov policy tune --policy pid --workload web-search --trace diurnal --output policies/mine.yaml

Example: for what a real service was asked
  tailgov policy tune --policy model --recording redis.rec --slo p99:500us

Example: on the live service, never beyond these bounds; at too many late requests, Ctrl-C or any error the policy that
governed before governs again, also where this command is killed
  tailgov policy tune --live cache --bounds setpoint=0.7..0.9 --block 5min --output policies/cache.yaml`,
    )
    .action(tune);
}

async function tune(options: TuneOptions & Partial<TuneLiveOptions>, command: Command): Promise<void> {
  const { live } = options;
  const given = (name: string) => command.getOptionValueSource(name) === 'cli';
  const lost = (live === undefined ? LIVE_ONLY : SIMULATED_ONLY).find(given);
  if (lost !== undefined) {
    throw new UsageError(`--${lost}: expected ${live === undefined ? '--live with it' : 'it without --live'}`);
  }
  if (live !== undefined) return tunePolicyLive({ ...(options as TuneLiveOptions), live });
  refuseOverwriting(options);
  const search = searchFor(options);
  conclude(await untilInterrupted((signal, onProgress) => run(search, signal, onProgress)), search, options);
}

/** What is searched, with which requests, and checked with which others. */
interface Search {
  readonly file: string;
  readonly policy: TunablePolicy;
  readonly threads: number;
  readonly searchSeeds: readonly number[];
  readonly checkSeeds: readonly number[];
  readonly searchCells: readonly SweepCell[];
  readonly checkCells: readonly SweepCell[];
}

/** @throws UsageError, PolicyError */
function searchFor(options: TuneOptions): Search {
  const recordings = options.recording ?? [];
  const workloads = options.workload ?? (recordings.length > 0 ? [] : ['microservice']);
  const count = wholeNumber('--seeds', options.seeds, 1, 100);
  const first = wholeNumber('--seed', options.seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const seeds = seedsFrom(first, 2 * count);
  const threads =
    options.threads === undefined ? availableParallelism() : wholeNumber('--threads', options.threads, 1, 256);
  const file = policyFile(options.policy);
  const policy = tunablePolicy(file, `--policy ${options.policy}`);
  const cellsFor = (seedsOfRuns: readonly number[]) =>
    sweepCells({
      ...{ workloads, traces: options.trace ?? ['step', 'diurnal', 'mmpp'], recordings, seeds: seedsOfRuns },
      servers: [options.power === undefined ? xeonSilver4114 : serverFrom(options.power)],
      objectives: options.slo === undefined ? [] : [objectiveOption(options.slo)],
      ...coresOf(options, recordings),
      ...lengthOf(options, recordings),
      strategy: 'frequency',
    });
  const [searchSeeds, checkSeeds] = [seeds.slice(0, count), seeds.slice(count)];
  const searchCells = cellsFor(searchSeeds).map((cell) =>
    'recording' in cell.load ? { ...cell, durationNs: Math.ceil(cell.durationNs / 2) } : cell,
  );
  return { file, policy, threads, searchSeeds, checkSeeds, searchCells, checkCells: cellsFor(checkSeeds) };
}

/** What has passed the check. */
interface Passed {
  readonly best: Tried;
  readonly checked: Score;
  /** Full speed in the same check. */
  readonly full: Score;
  readonly tried: number;
  /** How many were checked. */
  readonly validated: number;
}

/** Searches, and checks the best. @returns null where it was stopped before; without `best` where none of them passed */
async function run(
  { file, policy, threads, searchCells, checkCells }: Search,
  signal: AbortSignal,
  onProgress: (done: number, all: number) => void,
): Promise<Passed | Pick<Passed, 'tried'> | null> {
  const candidate = (parameters: Parameters): PolicyReference => ({ file, text: policy.textOf(parameters) });
  const scores = async (policies: readonly PolicyReference[], cells: readonly SweepCell[]) => {
    const each = cells.flatMap((cell) => cell.seeds.map((seed) => ({ cell, seed })));
    const tasks = policies.flatMap((one) =>
      each.map((task): SweepTask => ({ ...task, policy: one, reference: false })),
    );
    const outcomes = await runTasks({ tasks, threads, program: sweepProgram(), signal, onProgress });
    return policies.map((_, index): Score | undefined => {
      const own = outcomes.slice(index * each.length, (index + 1) * each.length);
      return own.includes(undefined) ? undefined : scoreOf(own.flatMap((one) => (one === undefined ? [] : [one])));
    });
  };
  const tried = await tuneParameters(policy.searched, policy.start, (candidates) =>
    scores(candidates.map(candidate), searchCells),
  );
  const [full] = await scores([{ file: readyPolicies()['performance']! }], checkCells);
  if (full === undefined) return null;
  for (const [index, best] of tried.slice(0, MOST_VALIDATED).entries()) {
    const [checked] = await scores([candidate(best.parameters)], checkCells);
    if (checked === undefined) return null;
    if (checked.missedWindows <= full.missedWindows)
      return { best, checked, full, tried: tried.length, validated: index + 1 };
  }
  return { tried: tried.length };
}

function conclude(outcome: Awaited<ReturnType<typeof run>>, search: Search, { output, policy }: TuneOptions): void {
  if (outcome === null) {
    process.stderr.write('tailgov: stopped before anything was checked: no file was written\n');
    return;
  }
  if (!('best' in outcome)) {
    process.stderr.write(
      `tailgov: none of the best of ${outcome.tried} candidates kept the SLO in the check, with requests that the search had not seen: no file was written\n`,
    );
    process.exitCode = 1;
    return;
  }
  const words = howObtained(outcome, search, policy);
  writeFileSync(output, describedPolicy(words, search.policy.textOf(outcome.best.parameters)));
  process.stdout.write(`${words.join('\n')}\nWritten: ${resolve(output)}\n`);
}

/** @param from the policy that the search began with, as the command line names it */
function howObtained({ checked, full, tried, validated }: Passed, search: Search, from: string): string[] {
  const { checkCells: cells, searchSeeds, checkSeeds } = search;
  const listed = (texts: readonly string[]) => [...new Set(texts)].join(', ');
  const seeded = cells.filter(({ load }) => !('recording' in load)).map(({ load }) => namesOfLoad(load));
  const recorded = cells.filter(({ load }) => 'recording' in load).map(({ load }) => namesOfLoad(load).workload);
  return [
    `Tuned by tailgov ${packageVersion()} in simulation, from ${from}: ${tried} candidates, searched parameter by parameter.`,
    ...(seeded.length === 0
      ? []
      : [
          `Workloads ${listed(seeded.map(({ workload }) => workload))}; traces ${listed(seeded.map(({ trace }) => trace))}.`,
          `Seeds ${searchSeeds[0]} to ${searchSeeds.at(-1)} to search, ${checkSeeds[0]} to ${checkSeeds.at(-1)} to check.`,
        ]),
    ...(recorded.length === 0 ? [] : [`Recordings ${listed(recorded)}: the first half to search, all of it to check.`]),
    `Objective ${listed(cells.map(({ slo }) => `${formatQuantile(slo.quantile)} ≤ ${formatNs(slo.latencyNs)}`))}; ${listed(cells.map(({ cores }) => String(cores)))} cores of ${cells[0]!.server.power.name}; ${listed(cells.map(({ durationNs }) => formatNs(durationNs)))} a run.`,
    `In the check, which number ${validated} of the search passed: ${formatPercent(1 - checked.energyJ / full.energyJ)} of the modelled energy of full speed saved, ${checked.missedWindows} of ${checked.windows} compliance windows missed (full speed: ${full.missedWindows}).`,
    'It fits a service as far as the simulation does: try it with --dry-run first.',
  ];
}

const USUAL_CORES = 4;
const USUAL_RUN_NS = 120 * NS_PER_S;

function coresOf({ cores }: TuneOptions, recordings: readonly string[]): { readonly cores?: number } {
  if (cores !== undefined) return { cores: wholeNumber('--cores', cores, 1, 1024) };
  return recordings.length > 0 ? {} : { cores: USUAL_CORES };
}

function lengthOf({ duration }: TuneOptions, recordings: readonly string[]): { readonly durationNs?: number } {
  if (duration !== undefined) return { durationNs: simulatedDurationNs(duration) };
  return recordings.length > 0 ? {} : { durationNs: USUAL_RUN_NS };
}

/** Below 1 the search could end where the objective is kept. */
function limit(text: string): number {
  const times = Number(text);
  if (!(times >= 1 && times <= 100)) throw new UsageError(`--limit ${text}: expected a number from 1 to 100`);
  return times;
}
