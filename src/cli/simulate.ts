import { writeFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { systemClock } from '../core/clock.ts';
import { UsageError } from '../core/errors.ts';
import type { PlanStrategy } from '../core/planner.ts';
import { formatNs, formatPercent, formatQuantile, NS_PER_MS } from '../core/units.ts';
import { loadTraces } from '../plant/load-trace.ts';
import type { ServerModel } from '../plant/server-model.ts';
import { xeonSilver4114 } from '../plant/servers.ts';
import { workloads } from '../plant/workloads.ts';
import { baselines } from '../study/baselines/registry.ts';
import { buildReport } from '../study/report/build-report.ts';
import { objectiveOption } from '../study/objective.ts';
import { type ReplayedInput, replayedInput } from '../study/replayed-input.ts';
import { serverFrom, traceNamed, withCores, workloadNamed } from '../study/scenario.ts';
import { type Progress, simulateTogether, type TogetherOptions } from '../study/simulate-together.ts';
import { simulationReport } from '../study/simulation-report.ts';
import { runTable, type Study, summarizeRuns } from '../study/summarize-runs.ts';
import { namesOfLoad, sweepCells, type SweepCell, type SweepDimensions } from '../study/sweep/sweep-cell.ts';
import { loadSweepFile } from '../study/sweep/sweep-file.ts';
import { baselineNamed, policyFrom, type PolicyReference } from '../study/sweep/sweep-task.ts';
import { TerminalPainter } from '../telemetry/terminal-painter.ts';
import { progressBar, textTable } from '../telemetry/terminal-text.ts';
import { packageVersion } from './package-root.ts';
import { namesOf, policyFile, readyPolicies } from './ready-policies.ts';
import { predictionLine } from './prediction-line.ts';
import { seedsFrom, sweepCommand } from './simulate-sweep.ts';
import { simulatedDurationNs } from './simulated-duration.ts';
import { wholeNumber } from './whole-number.ts';

interface SimulateOptions {
  readonly sweep?: string;
  readonly policy?: readonly string[];
  readonly baseline?: readonly string[];
  readonly workload?: readonly string[];
  readonly trace?: readonly string[];
  readonly duration: string;
  readonly seed: string;
  readonly seeds: string;
  readonly threads?: string;
  readonly cores?: string;
  readonly planner: string;
  readonly recording?: readonly string[];
  readonly beside?: readonly string[];
  readonly slo?: readonly string[];
  readonly power?: readonly string[];
  readonly reference?: true;
  readonly report?: string;
  readonly json?: true;
}

/** What every policy is compared with. */
const BASELINE = 'performance';
const STRATEGIES = ['frequency', 'cores', 'pack'] as const satisfies readonly PlanStrategy[];
const MOST_CORES = 1024;
const MOST_SEEDS = 1000;
const MOST_THREADS = 256;
/** What Linux does by itself on most machines. */
const USUAL_BASELINE = 'schedutil';
/** 128 + SIGINT, as shells have it. */
const EXIT_INTERRUPTED = 130;

const EXAMPLE = `
The loop and the policies are the very ones that govern a server; the server, its requests and its power are a model. Every
policy is asked the same, and ${BASELINE} always runs along. Ctrl-C prints what there is by then, marked as partial.

Several workloads, traces, recordings, objectives, servers or seeds make a sweep: every policy under each of them, on one
thread a CPU, with means and 95 % confidence intervals over the seeds. --sweep takes one from a YAML file with the keys
policies, baselines, workloads, traces, recordings, slos, power, seeds, cores, duration, planner and reference.

Baselines: ${Object.keys(baselines).join(', ')}, or all
Workloads: ${Object.keys(workloads).join(', ')}
Traces: ${Object.keys(loadTraces).join(', ')}, or a CSV file of seconds,multiplier

Example: half an hour of a service under a flash crowd, with a report
  tailgov simulate --workload web-search --trace flash-crowd --duration 30min --report simulated.html

Example: a sweep over two traces and five seeds, with every baseline
  tailgov simulate --policy model --baseline all --trace step --trace mmpp --seeds 5

Example: a sweep that a file describes, as a report
  tailgov simulate --sweep sweep.yaml --report sweep.html

Example: what would have become of the requests that a real service was asked
  tailgov observe --port 6379 --duration 10min --record redis.rec
  tailgov simulate --recording redis.rec --slo p99:500us`;

export function simulateCommand(): Command {
  return new Command('simulate')
    .description('try policies on a simulated server: latency, violations and modelled energy, side by side')
    .option(
      '--sweep <file>',
      'run what a YAML file names: policies by workloads, traces, recordings, servers and seeds',
    )
    .option('--policy <file>', 'a policy file or the name of a ready policy, each time it is given', collect)
    .option('--baseline <name>', 'a published rule to compare with, or all; each time it is given', collect)
    .option('--workload <name>', 'what the service is like (default: "microservice"), each time it is given', collect)
    .option(
      '--trace <name>',
      'how the load changes over time: by name or from a CSV file (default: "step"), each time it is given',
      collect,
    )
    .option('--duration <time>', 'simulated time, such as 1h', '5min')
    .option('--seed <number>', 'of arrivals and demands: the same seed, the same requests', '1')
    .option('--seeds <number>', 'so many seeds, from --seed on', '1')
    .option('--threads <number>', 'threads of a sweep (default: one for each CPU)')
    .option(
      '--recording <file>',
      'replay what `observe --record` recorded, in place of a workload and a trace; each time it is given',
      collect,
    )
    .option(
      '--beside <workload>',
      'another service on the same cores, under the same policy with its own objective; each time it is given',
      collect,
    )
    .option(
      '--slo <objective>',
      "such as p99:5ms (default: the workload's or the recording's), each time it is given",
      collect,
    )
    .option(
      '--power <file>',
      `the server's frequencies, idle states and power (default: a ${xeonSilver4114.power.name}), each time it is given`,
      collect,
    )
    .option('--cores <number>', 'cores of the simulated server (default: all; in a replay, as many as served)')
    .addOption(
      new Option('--planner <strategy>', 'what a level becomes: slower, fewer cores, or what draws least of both')
        .choices(STRATEGIES)
        .default('frequency'),
    )
    .option(
      '--reference',
      'also search the best schedule that knows the future: minutes for a minute of simulated time',
    )
    .option('--report <file>', 'write an HTML report')
    .option('--json', 'one JSON object a line: a policy each; in a sweep a policy and cell')
    .addHelpText('after', EXAMPLE)
    .action(simulate);
}

async function simulate(options: SimulateOptions, command: Command): Promise<void> {
  const threads =
    options.threads === undefined ? undefined : wholeNumber('--threads', options.threads, 1, MOST_THREADS);
  const { runners, dimensions, reference } = askedFor(options, command);
  const cells = sweepCells(dimensions);
  const [cell] = cells;
  const isSweep = options.sweep !== undefined || cells.length !== 1 || cell!.seeds.length !== 1;
  if (options.beside !== undefined) refuseBeside(options, isSweep);
  if (!isSweep) {
    await simulateCell(cell!, runners, reference, options);
    return;
  }
  const plan = { policies: runners, cells, reference };
  await sweepCommand(plan, { threads, json: options.json === true, report: options.report });
}

/** What does not know of several services. @throws UsageError */
function refuseBeside({ beside, baseline, reference, recording }: SimulateOptions, isSweep: boolean): void {
  const named = `--beside ${beside![0]}`;
  if (isSweep) throw new UsageError(`${named}: expected one workload, trace and seed with it`);
  if (recording !== undefined) throw new UsageError(`${named}: expected it without --recording`);
  if (baseline !== undefined)
    throw new UsageError(`${named}: expected it without --baseline, whose rules see one service`);
  if (reference === true) throw new UsageError(`${named}: expected it without --reference, which covers one service`);
}

interface Asked {
  readonly runners: readonly Runner[];
  readonly dimensions: SweepDimensions;
  readonly reference: boolean;
}

/** @throws UsageError, PolicyError */
function askedFor(options: SimulateOptions, command: Command): Asked {
  const isGiven = (name: string) => (command.getOptionValueSource(name) ?? 'default') !== 'default';
  if (options.sweep !== undefined) {
    const inFile = ['policy', 'baseline', 'workload', 'trace', 'recording', 'slo', 'power', 'seed', 'seeds', 'cores'];
    const twice = [...inFile, 'duration', 'planner', 'reference'].find(isGiven);
    if (twice !== undefined) {
      throw new UsageError(`--${twice}: does not go with --sweep, expected it in ${options.sweep}`);
    }
    const file = loadSweepFile(options.sweep, readyPolicies());
    const named = file.policies.length > 0 || file.baselines.length > 0;
    return { ...file, runners: runnersOf(named ? file.policies : undefined, named ? file.baselines : undefined) };
  }
  const recordings = options.recording ?? [];
  if (recordings.length > 0 && options.workload === undefined) {
    // What would be given and then not used.
    const unused = ['trace', 'seeds', 'reference'].find(isGiven);
    if (unused !== undefined) {
      throw new UsageError(`--${unused}: does not go with --recording, which brings its own requests`);
    }
  }
  const workloadNames = [...new Set(options.workload ?? (recordings.length > 0 ? [] : ['microservice']))];
  const seed = wholeNumber('--seed', options.seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  return {
    runners:
      options.beside === undefined
        ? runnersOf(options.policy, options.baseline)
        : runnersOf(options.policy ?? Object.values(readyPolicies()), []),
    dimensions: {
      workloads: workloadNames,
      traces: [...new Set(options.trace ?? ['step'])],
      recordings: [...new Set(recordings)],
      servers: options.power?.map(serverFrom) ?? [xeonSilver4114],
      objectives: options.slo?.map(objectiveOption) ?? [],
      seeds: seedsFrom(seed, wholeNumber('--seeds', options.seeds, 1, MOST_SEEDS)),
      ...(options.cores === undefined ? {} : { cores: wholeNumber('--cores', options.cores, 1, MOST_CORES) }),
      ...(recordings.length === 0 || isGiven('duration') ? { durationNs: simulatedDurationNs(options.duration) } : {}),
      strategy: STRATEGIES.find((each) => each === options.planner) ?? 'frequency',
    },
    reference: options.reference === true,
  };
}

/** All policies side by side, with one seed: shown over time. */
async function simulateCell(
  cell: SweepCell,
  runners: readonly Runner[],
  reference: boolean,
  options: SimulateOptions,
): Promise<void> {
  const { load, server, slo, cores, durationNs, strategy } = cell;
  const seed = cell.seeds[0]!;
  const replayed = 'recording' in load ? replayedInput(load.recording, slo, server) : null;
  const names = namesOfLoad(load);
  const workload = replayed?.workload ?? workloadNamed(names.workload);
  const result = await untilInterrupted({
    policies: runners.map((runner) => policyFrom(runner.reference)),
    trace: traceNamed('recording' in load ? 'constant' : load.trace, durationNs),
    ...{ workload, server, cores, seed, durationNs, slo, strategy, reference },
    ...(replayed === null ? {} : { service: replayed.replay.service }),
    ...(options.beside === undefined ? {} : { beside: options.beside.map(workloadNamed) }),
    clock: systemClock,
  });
  const study: Study = { ...result, policies: runners.map(({ name }) => name), baseline: 0, ...names, slo };
  if (options.report !== undefined) {
    const context = { version: packageVersion(), seed, workload, server: withCores(server, cores), cores };
    writeFileSync(options.report, buildReport(simulationReport(study, context)));
    process.stderr.write(`Report: ${resolve(options.report)}\n`);
  }
  const lines = options.json === true ? jsonLines(study) : tableLines(study, cores, seed);
  const notes =
    replayed === null
      ? besideNotes(study, options.beside ?? [])
      : [...replayed.replay.notes, ...predictionNotes(study, runners, server, replayed)];
  process.stdout.write(`${lines.join('\n')}\n`);
  // Beside the figures, so that programs that read these go on undisturbed.
  if (notes.length > 0) (options.json === true ? process.stderr : process.stdout).write(`${notes.join('\n')}\n`);
}

/** Where a policy that is simulated is the one of the dry run: what that predicted beside what the plant says. */
function predictionNotes(
  study: Study,
  runners: readonly Runner[],
  server: ServerModel,
  { predicted, slo }: ReplayedInput,
): string[] {
  if (predicted === null) return [];
  const index = runners.findIndex(
    ({ reference }) => 'file' in reference && basename(reference.file) === basename(predicted.policy),
  );
  const run = study.runs[index];
  if (run === undefined) return [`The dry run predicted for ${predicted.policy}, which is not among these policies.`];
  const highestKhz = Math.max(...server.machine.domains.map(({ maxKhz }) => maxKhz));
  const levels = run.points.map(({ frequencyKhz }) => frequencyKhz / highestKhz);
  return [
    predictionLine(predicted, {
      quantileNs: run.latency.quantileNs(slo.quantile),
      violationRatio: run.requests === 0 ? 0 : run.overSlo / run.requests,
      meanLevel: levels.reduce((sum, level) => sum + level, 0) / Math.max(1, levels.length),
    }),
  ];
}

/** What became of the services beside the one whose figures are shown. */
const besideNotes = ({ policies, runs }: Study, beside: readonly string[]): string[] =>
  policies.flatMap((policy, run) =>
    beside.map((name, index) => {
      const { slo, requests, overSlo, latency } = runs[run]!.beside[index]!;
      const quantile = requests === 0 ? '-' : formatNs(latency.quantileNs(slo.quantile));
      const late = formatPercent(requests === 0 ? 0 : overSlo / requests, 2);
      return `Beside it under ${policy}: ${name}, ${requests} requests, ${formatQuantile(slo.quantile)} ${quantile} (SLO ${formatNs(slo.latencyNs)}), ${late} late.`;
    }),
  );

interface Runner {
  readonly name: string;
  readonly reference: PolicyReference;
}

/** Full speed first, then policies and baselines in the order given; by default all ready policies, and what Linux does. */
function runnersOf(policy?: readonly string[], baseline?: readonly string[]): readonly Runner[] {
  const ready = readyPolicies();
  const byDefault = policy === undefined && baseline === undefined;
  const given = policy?.map(policyFile) ?? (byDefault ? Object.values(ready) : []);
  const files = [...new Set([ready[BASELINE]!, ...given])];
  const rules = new Set(
    (baseline ?? (byDefault ? [USUAL_BASELINE] : [])).flatMap((name) =>
      name === 'all' ? Object.keys(baselines) : [baselineNamed(name).name],
    ),
  );
  const names = namesOf(files);
  return [
    ...files.map((file, index) => ({ name: names[index]!, reference: { file } })),
    ...[...rules].map((name) => ({ name, reference: { baseline: name } })),
  ];
}

const jsonLines = (study: Study) => summarizeRuns(study).map((run) => JSON.stringify(run));

function tableLines(study: Study, cores: number, seed: number): string[] {
  const { slo, partial, reference, workload, trace } = study;
  const simulated = formatNs(study.runs[0]!.simulatedNs);
  const objective = `${formatQuantile(slo.quantile)} ≤ ${formatNs(slo.latencyNs)}`;
  return [
    `${workload} under ${trace}, ${cores} cores, ${objective}, ${simulated} simulated, seed ${seed}${partial ? ' (partial: stopped)' : ''}`,
    '',
    ...textTable(runTable(summarizeRuns(study), slo)),
    '',
    ...(reference === null
      ? []
      : [
          `The clairvoyant reference takes ${reference.joules.toFixed(0)} J${reference.meetsSlo ? '' : ' and misses the SLO'}.`,
        ]),
    ...(study.lowerBoundJ === null
      ? []
      : [`No policy that keeps the SLO can take less than ${study.lowerBoundJ.toFixed(0)} J: a proven bound.`]),
    `Energy and power are modelled; saved is against ${BASELINE}.`,
  ];
}

/** Ctrl-C ends the runs, not the process. */
async function untilInterrupted(options: Omit<TogetherOptions, 'signal' | 'onProgress'>) {
  const interrupt = new AbortController();
  const end = () => interrupt.abort();
  const screen = process.stderr.isTTY ? new ProgressLine(new TerminalPainter(process.stderr)) : null;
  process.on('SIGINT', end).on('SIGTERM', end);
  try {
    const result = await simulateTogether({
      ...options,
      signal: interrupt.signal,
      onProgress: (progress) => screen?.show(progress),
    });
    screen?.close();
    if (interrupt.signal.aborted) {
      process.exitCode = EXIT_INTERRUPTED;
      const what = result.partial ? 'what follows is partial' : 'the reference was not found';
      process.stderr.write(`tailgov: stopped: ${what}\n`);
    }
    return result;
  } finally {
    screen?.close();
    process.off('SIGINT', end).off('SIGTERM', end);
  }
}

/** Quick runs show none. */
const SHOW_AFTER_MS = 1000;
const SHOW_EVERY_MS = 100;
const BAR_COLUMNS = 30;

class ProgressLine {
  readonly #painter: TerminalPainter;
  readonly #beganMs = systemClock.wallMs();
  #shownMs = 0;

  constructor(painter: TerminalPainter) {
    this.#painter = painter;
  }

  show(progress: Progress): void {
    const nowMs = systemClock.wallMs();
    if (nowMs - this.#beganMs < SHOW_AFTER_MS || nowMs - this.#shownMs < SHOW_EVERY_MS) return;
    this.#shownMs = nowMs;
    this.#painter.paint([progressText(progress, nowMs - this.#beganMs)]);
  }

  /** Leaves nothing behind. */
  close(): void {
    if (this.#shownMs > 0) this.#painter.paint([]);
    this.#shownMs = 0;
    this.#painter.close();
  }
}

/** The estimate takes the rest to go on as what is past. */
export function progressText({ phase, simulatedNs, durationNs }: Progress, elapsedMs: number): string {
  if (phase === 'reference') return `searching the clairvoyant reference, ${formatNs(elapsedMs * NS_PER_MS)} so far`;
  const share = simulatedNs / durationNs;
  const leftNs = (elapsedMs / share - elapsedMs) * NS_PER_MS;
  return `${progressBar(share, BAR_COLUMNS)} ${(share * 100).toFixed(0)} %, about ${formatNs(leftNs)} left`;
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
