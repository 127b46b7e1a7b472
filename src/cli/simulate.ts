import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { Command } from 'commander';
import { controllers } from '../compose/controllers.ts';
import { systemClock } from '../core/clock.ts';
import { UsageError } from '../core/errors.ts';
import { formatNs, formatQuantile, NS_PER_MS, NS_PER_S, parseDurationNs } from '../core/units.ts';
import { loadTraces } from '../plant/load-trace.ts';
import { xeonSilver4114 } from '../plant/servers.ts';
import { workloads } from '../plant/workloads.ts';
import { loadPolicy } from '../policy/load-policy.ts';
import { buildReport } from '../study/report/build-report.ts';
import { traceNamed, withCores, workloadNamed } from '../study/scenario.ts';
import { type Progress, simulateTogether, type TogetherOptions } from '../study/simulate-together.ts';
import { simulationReport } from '../study/simulation-report.ts';
import { runTable, type Study, summarizeRuns } from '../study/summarize-runs.ts';
import { TerminalPainter } from '../telemetry/terminal-painter.ts';
import { progressBar, textTable } from '../telemetry/terminal-text.ts';
import { packageRoot, packageVersion } from './package-root.ts';

interface SimulateOptions {
  readonly policy?: readonly string[];
  readonly workload: string;
  readonly trace: string;
  readonly duration: string;
  readonly seed: string;
  readonly cores: string;
  readonly reference?: true;
  readonly report?: string;
  readonly json?: true;
}

/** What every policy is compared with. */
const BASELINE = 'performance';
const MOST_CORES = 1024;
/** Simulated time is a number of ns, exact below 2^53. */
const LONGEST_NS = 100 * 86_400 * NS_PER_S;
const COMPLIANCE_WINDOW_MS = 60_000;
/** 128 + SIGINT, as shells have it. */
const EXIT_INTERRUPTED = 130;

const EXAMPLE = `
The loop and the policies are the very ones that govern a server; the server, its requests and its power are a model. Every
policy is asked the same, and ${BASELINE} always runs along. Ctrl-C prints what there is by then, marked as partial.

Workloads: ${Object.keys(workloads).join(', ')}
Traces: ${Object.keys(loadTraces).join(', ')}, or a CSV file of seconds,multiplier

Example: half an hour of a service under a flash crowd, with a report
  tailgov simulate --workload web-search --trace flash-crowd --duration 30min --report simulated.html`;

export function simulateCommand(): Command {
  return new Command('simulate')
    .description('try policies on a simulated server: latency, violations and modelled energy, side by side')
    .option('--policy <file>', 'a policy file or the name of a ready policy, each time it is given', collect)
    .option('--workload <name>', 'what the service is like', 'microservice')
    .option('--trace <name>', 'how the load changes over time: by name or from a CSV file', 'step')
    .option('--duration <time>', 'simulated time, such as 1h', '5min')
    .option('--seed <number>', 'of arrivals and demands: the same seed, the same requests', '1')
    .option('--cores <number>', 'cores of the simulated server', String(xeonSilver4114.power.coreCount))
    .option(
      '--reference',
      'also search the best schedule that knows the future: minutes for a minute of simulated time',
    )
    .option('--report <file>', 'write an HTML report')
    .option('--json', 'one JSON object a line, a policy each')
    .addHelpText('after', EXAMPLE)
    .action(simulate);
}

async function simulate(options: SimulateOptions): Promise<void> {
  const durationNs = durationOption(options.duration);
  const workload = workloadNamed(options.workload);
  const trace = traceNamed(options.trace, durationNs);
  const seed = wholeNumber('--seed', options.seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const cores = wholeNumber('--cores', options.cores, 1, MOST_CORES);
  if (options.reference === true && workload.dispatch.kind !== 'central') {
    const covered = Object.keys(workloads).filter((name) => workloads[name]!.dispatch.kind === 'central');
    throw new UsageError(
      `--reference: does not cover ${options.workload}, expected a workload with a central queue: ${covered.join(', ')}`,
    );
  }
  const files = policyFiles(options.policy);
  const slo = { quantile: 0.99, latencyNs: workload.sloLatencyNs, windowMs: COMPLIANCE_WINDOW_MS };
  const server = xeonSilver4114;
  const result = await untilInterrupted({
    policies: files.map((file) => loadPolicy(file, controllers)),
    ...{ workload, trace, server, cores, seed, durationNs, slo },
    reference: options.reference === true,
    clock: systemClock,
  });
  const study: Study = {
    ...result,
    policies: namesOf(files),
    baseline: files.indexOf(readyPolicies()[BASELINE]!),
    workload: options.workload,
    trace: options.trace,
    slo,
  };
  if (options.report !== undefined) {
    const context = { version: packageVersion(), seed, workload, server: withCores(server, cores), cores };
    writeFileSync(options.report, buildReport(simulationReport(study, context)));
    process.stderr.write(`Report: ${resolve(options.report)}\n`);
  }
  process.stdout.write(`${(options.json === true ? jsonLines(study) : tableLines(study, cores, seed)).join('\n')}\n`);
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

/** The baseline first, then in the order given; by default all that are ready. */
function policyFiles(given: readonly string[] | undefined): readonly string[] {
  const ready = readyPolicies();
  const named = (given ?? Object.keys(ready)).map((name) => {
    if (existsSync(name) || name.includes('/') || /\.ya?ml$/.test(name)) return resolve(name);
    if (Object.hasOwn(ready, name)) return ready[name]!;
    throw new UsageError(`--policy ${name}: no such policy, expected a file or ${Object.keys(ready).join(', ')}`);
  });
  return [...new Set([ready[BASELINE]!, ...named])];
}

/** By name, in alphabetical order. */
function readyPolicies(): Readonly<Record<string, string>> {
  const directory = join(packageRoot(), 'policies');
  const files = readdirSync(directory).filter((name) => name.endsWith('.yaml'));
  return Object.fromEntries(files.sort().map((name) => [basename(name, '.yaml'), join(directory, name)]));
}

/** As short as tells them apart. */
function namesOf(files: readonly string[]): readonly string[] {
  const short = files.map((file) => basename(file).replace(/\.ya?ml$/, ''));
  return short.map((name, index) => (short.indexOf(name) === short.lastIndexOf(name) ? name : files[index]!));
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

function durationOption(text: string): number {
  const ns = parseDurationNs(text);
  if (ns === undefined || ns < NS_PER_S || ns > LONGEST_NS) {
    throw new UsageError(`--duration ${text}: expected a time from 1s to 100d, such as 1h`);
  }
  return ns;
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^-?\d+$/.test(text) && Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new UsageError(`${option} ${text}: expected a whole number from ${least} to ${most}`);
}
