import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { controllers } from '../compose/controllers.ts';
import { UsageError } from '../core/errors.ts';
import { caveats, judge } from '../demo/compare-phases.ts';
import { comparisonTable, demoReport } from '../demo/demo-report.ts';
import { DEFAULT_SLO_MS } from '../demo/demo-settings.ts';
import { demoLine, demoView } from '../demo/demo-view.ts';
import { runPart } from '../demo/part-command.ts';
import { runDemo, type DemoProgress, type DemoResult } from '../demo/run-demo.ts';
import { loadPolicy } from '../policy/load-policy.ts';
import { buildReport } from '../study/report/build-report.ts';
import { TerminalPainter } from '../telemetry/terminal-painter.ts';
import { textTable, wantsColor } from '../telemetry/terminal-text.ts';
import { durationOption } from './duration-option.ts';
import { packageRoot, packageVersion } from './package-root.ts';

interface DemoCommandOptions {
  readonly duration: number;
  readonly policy?: string;
  readonly slo: number;
  readonly seed: string;
  readonly report: string;
  readonly simulated?: true;
  readonly speed: string;
  readonly keep?: true;
}

const MIN_DURATION_MS = 10_000;
const MIN_SLO_MS = 0.001;
const LINE_EVERY_MS = 2000;
const DEFAULT_SPEED = 4;
const MOST_SPEED = 1e6;
/** 128 + SIGINT, as shells have it. */
const EXIT_INTERRUPTED = 130;

const EXAMPLE = `
Everything in it is real but the silicon: a server, a client, the kernel sensor and the daemon work on this machine; the
cpufreq files are a mock of an Intel Core i7-1165G7 whose frequency decides how long the server's work takes, and power and
energy come from a model. Half of the time runs at full speed for comparison. Measuring needs root, for eBPF: where it
does not work the demo says why, and runs the same on the simulated plant.

Example: five minutes with another policy
  tailgov demo --duration 5min --policy policies/threshold.yaml`;

export function demoCommand(): Command {
  const command = new Command('demo')
    .description('the whole loop on this machine, on modelled silicon: full speed against a policy, and a report')
    .addOption(
      new Option('--duration <time>', 'both runs together, such as 60s')
        .argParser(durationOption('--duration', MIN_DURATION_MS))
        .default(60_000, '60s'),
    )
    .option(
      '--policy <file>',
      'the policy that is compared with full speed (default: the pid policy that comes with tailgov)',
    )
    .addOption(
      new Option('--slo <time>', 'the bound for the 99th percentile of latency')
        .argParser(durationOption('--slo', MIN_SLO_MS))
        .default(DEFAULT_SLO_MS, `${DEFAULT_SLO_MS}ms`),
    )
    .option('--seed <number>', 'of arrivals and costs: the same seed, the same load', '1')
    .option('--report <file>', 'where the report is written', './tailgov-demo.html')
    .option('--simulated', 'run on the simulated plant even where eBPF works')
    .option('--speed <factor>', 'how many times faster than real time simulated time passes', String(DEFAULT_SPEED))
    .option('--keep', 'leave the temporary directory behind: the mock, the configs')
    .addHelpText('after', EXAMPLE)
    .action(demo);
  command.addCommand(
    new Command('part').argument('<name>').argument('[path]').action(runPart),
    // What the demo starts its own processes with.
    { hidden: true },
  );
  return command;
}

async function demo(options: DemoCommandOptions): Promise<void> {
  const { duration: durationMs, slo: sloMs } = options;
  const seed = Number(options.seed);
  if (!Number.isSafeInteger(seed)) throw new UsageError(`--seed ${options.seed}: expected a whole number`);
  const speed = Number(options.speed);
  if (!(speed > 0 && speed <= MOST_SPEED)) {
    throw new UsageError(`--speed ${options.speed}: expected a factor above 0 and up to ${MOST_SPEED}, such as 4`);
  }
  const policies = join(packageRoot(), 'policies');
  const policyFile = resolve(options.policy ?? join(policies, 'pid.yaml'));
  // A bad policy is told now, not when its turn comes.
  loadPolicy(policyFile, controllers);
  const screen = new Screen();
  const interrupt = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => interrupt.abort(new Error(`stopped by ${signal}`));
  const onOutputGone = (error: Error) => interrupt.abort(error);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  // Nobody reads the view any more, as in `tailgov demo 2>&1 | head`.
  process.stderr.on('error', onOutputGone);
  try {
    const result = await runDemo({
      durationMs,
      policyFile,
      baselineFile: join(policies, 'performance.yaml'),
      mocksDirectory: join(packageRoot(), 'sysfs-mocks'),
      sloMs,
      seed,
      keep: options.keep === true,
      simulated: options.simulated === true,
      speed,
      signal: interrupt.signal,
      onProgress: (progress) => screen.show(progress),
      onSimulated: (because) => process.stderr.write(`tailgov: the demo runs on a simulated server: ${because}\n`),
    });
    screen.close();
    const report = demoReport(result, { version: packageVersion(), seed, sloMs, finishedAt: new Date() });
    const file = resolve(options.report);
    writeFileSync(file, buildReport(report));
    process.stdout.write(`${resultLines(result).join('\n')}\n\nReport: ${file}\n`);
    if (result.directory !== null) process.stdout.write(`Kept: ${result.directory}\n`);
  } catch (error) {
    screen.close();
    if (!interrupt.signal.aborted) throw error;
    process.stderr.write('tailgov: demo stopped; every process has ended\n');
    process.exitCode = EXIT_INTERRUPTED;
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
    process.stderr.off('error', onOutputGone);
  }
}

/** The table, the verdict, and what to know before believing it. */
function resultLines(result: DemoResult): string[] {
  const { columns, rows, note } = comparisonTable(result);
  const [baseline, governed] = result.summaries;
  return [
    ...textTable([columns, ...rows]),
    '',
    judge(baseline, governed).text,
    ...caveats(baseline, governed),
    ...(note === undefined ? [] : [note]),
  ];
}

/** Draws on a terminal, and elsewhere prints a line now and then. Both on stderr: stdout is for the result. */
class Screen {
  readonly #painter = process.stderr.isTTY ? new TerminalPainter(process.stderr) : null;
  readonly #color = wantsColor(process.stderr.isTTY, process.env);
  #lastLineMs = Number.NEGATIVE_INFINITY;
  #phase = -1;

  show(progress: DemoProgress): void {
    if (this.#painter !== null) {
      this.#painter.paint(demoView(progress, { columns: process.stderr.columns || 80, color: this.#color }));
      return;
    }
    if (progress.phase !== this.#phase) this.#lastLineMs = Number.NEGATIVE_INFINITY;
    this.#phase = progress.phase;
    if (progress.elapsedMs - this.#lastLineMs < LINE_EVERY_MS) return;
    this.#lastLineMs = progress.elapsedMs;
    process.stderr.write(`${demoLine(progress)}\n`);
  }

  close(): void {
    this.#painter?.close();
  }
}
