import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { UsageError } from '../core/errors.ts';
import { systemClock } from '../core/clock.ts';
import { formatNs, NS_PER_MS } from '../core/units.ts';
import { buildReport } from '../study/report/build-report.ts';
import { sweepHeading, sweepReport } from '../study/sweep/sweep-report.ts';
import { runSweep, type SweepPlan, type SweepResult, sweepTable } from '../study/sweep/sweep.ts';
import { TerminalPainter } from '../telemetry/terminal-painter.ts';
import { progressBar, textTable } from '../telemetry/terminal-text.ts';
import { packageVersion } from './package-root.ts';

/** 128 + SIGINT, as shells have it. */
const EXIT_INTERRUPTED = 130;
const BAR_COLUMNS = 30;

export interface SweepSettings {
  /** undefined: one for each CPU. */
  readonly threads: number | undefined;
}

/** Runs the plan on threads, with progress, and until Ctrl-C. Prints a table, or rows as lines of JSON. */
export async function sweepCommand(
  plan: SweepPlan,
  settings: SweepSettings & { readonly json: boolean; readonly report: string | undefined },
): Promise<void> {
  const result = await sweepUntilInterrupted(plan, settings);
  if (settings.report !== undefined) {
    writeFileSync(settings.report, buildReport(sweepReport(plan, result, packageVersion())));
    process.stderr.write(`Report: ${resolve(settings.report)}\n`);
  }
  const lines = settings.json
    ? result.rows.map((row) => JSON.stringify(row))
    : [
        sweepHeading(plan, result),
        '',
        ...textTable(sweepTable(result.rows)),
        '',
        `Energy is modelled. ± is the 95 % confidence interval over seeds (Student's t); saved is against ${plan.policies[0]!.name} with the same requests.`,
        'No policy that keeps the SLO can take less energy than the bound.',
      ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** Ctrl-C gives what is done by then. */
async function sweepUntilInterrupted(plan: SweepPlan, { threads }: SweepSettings): Promise<SweepResult> {
  return untilInterrupted(async (signal, onProgress) =>
    runSweep(plan, { threads: threads ?? availableParallelism(), program: sweepProgram(), signal, onProgress }),
  );
}

/** Where the build puts it: beside us. Run from source there are no threads. */
export const sweepProgram = () => new URL('./sweep-entry.js', import.meta.url);

/** Shows progress on a terminal, and hands in a signal that Ctrl-C sets. */
export async function untilInterrupted<T>(
  work: (signal: AbortSignal, onProgress: (done: number, all: number) => void) => Promise<T>,
): Promise<T> {
  const interrupt = new AbortController();
  const end = () => interrupt.abort();
  const painter = process.stderr.isTTY ? new TerminalPainter(process.stderr) : null;
  const beganMs = systemClock.wallMs();
  process.on('SIGINT', end).on('SIGTERM', end);
  try {
    const result = await work(interrupt.signal, (done, all) => {
      const elapsedMs = systemClock.wallMs() - beganMs;
      const leftNs = (elapsedMs / done) * (all - done) * NS_PER_MS;
      painter?.paint([
        `${progressBar(done / all, BAR_COLUMNS)} ${done} of ${all} runs, about ${formatNs(leftNs)} left`,
      ]);
    });
    if (interrupt.signal.aborted) {
      process.exitCode = EXIT_INTERRUPTED;
      painter?.paint([]);
      process.stderr.write('tailgov: stopped: what follows is partial\n');
    }
    return result;
  } finally {
    painter?.paint([]);
    painter?.close();
    process.off('SIGINT', end).off('SIGTERM', end);
  }
}

/** @throws UsageError */
export function seedsFrom(first: number, count: number): readonly number[] {
  if (!Number.isSafeInteger(first + count)) throw new UsageError(`--seed ${first}: too high for ${count} seeds`);
  return Array.from({ length: count }, (_, index) => first + index);
}
