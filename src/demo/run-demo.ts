import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { SensorError } from '../core/errors.ts';
import { openSensor } from '../sensor/open-sensor.ts';
import { findMock, writeMock } from '../sysfs/mock-file.ts';
import { CAPACITY_RPS, CYCLES_SIGMA, DEMO_MOCK, DEMO_POWER_MODEL, MEAN_CYCLES, windowMsFor } from './demo-settings.ts';
import { Ending } from './ending.ts';
import { DEMO_PROFILE, scheduleLoad } from './load-schedule.ts';
import { Part } from './part.ts';
import type { PhaseRecord } from './phase-record.ts';
import { runPhase, type PhaseProgress } from './run-phase.ts';
import { summarizePhase, type PhaseSummary } from './summarize-phase.ts';

export interface DemoOptions {
  /** Of both runs together. */
  readonly durationMs: number;
  /** The policy that is compared with the baseline. */
  readonly policyFile: string;
  readonly baselineFile: string;
  readonly mocksDirectory: string;
  readonly sloMs: number;
  readonly seed: number;
  /** Leave the temporary directory behind. */
  readonly keep: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: DemoProgress) => void;
}

export interface DemoProgress extends PhaseProgress {
  /** 0: the baseline, 1: the policy. */
  readonly phase: 0 | 1;
  readonly phaseMs: number;
  /** The baseline's record, once it is there. */
  readonly baseline: PhaseRecord | null;
}

export interface DemoResult {
  readonly records: readonly [PhaseRecord, PhaseRecord];
  readonly summaries: readonly [PhaseSummary, PhaseSummary];
  readonly windowMs: number;
  /** Where everything was; null when it has been removed. */
  readonly directory: string | null;
}

/**
 * The whole loop on this machine, but for the silicon: the baseline first, then the policy, under the same load. Leaves no
 * process and, unless asked to, no file behind, whether it ends or fails.
 *
 * @throws SensorError where the kernel does not let us measure
 */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const { sloMs, seed, signal } = options;
  assertSensorWorks();
  const phaseMs = options.durationMs / 2;
  const windowMs = windowMsFor(phaseMs);
  const schedule = scheduleLoad({
    seed,
    durationMs: phaseMs,
    profile: DEMO_PROFILE,
    capacityRps: CAPACITY_RPS,
    meanCycles: MEAN_CYCLES,
    cyclesSigma: CYCLES_SIGMA,
  });
  const directory = mkdtempSync(join(tmpdir(), 'tailgov-demo-'));
  // The silicon outlives a phase: should it fail, whichever phase runs is stopped.
  const siliconFailed = new AbortController();
  const either = AbortSignal.any([signal, siliconFailed.signal]);
  const ending = new Ending(either);
  let silicon: Part | undefined;
  try {
    const treeDirectory = join(directory, 'sys');
    mkdirSync(treeDirectory);
    writeMock(findMock(DEMO_MOCK, options.mocksDirectory), treeDirectory);
    silicon = new Part('the silicon', ['demo', 'part', 'silicon', treeDirectory], {
      channel: true,
      onUnexpectedEnd: (error) => siliconFailed.abort(error),
    });
    silicon.prefer();
    await ending.or(silicon.next('ready'));

    const phase = (index: 0 | 1, policyFile: string, baseline: PhaseRecord | null) =>
      runPhase({
        name: policyName(policyFile),
        policyFile,
        sloMs,
        durationMs: phaseMs,
        windowMs,
        schedule,
        treeDirectory,
        directory: join(directory, `phase-${index + 1}`),
        signal: either,
        onProgress: (progress) => options.onProgress({ ...progress, phase: index, phaseMs, baseline }),
      });
    const baseline = await phase(0, options.baselineFile, null);
    const governed = await phase(1, options.policyFile, baseline);
    return {
      records: [baseline, governed],
      summaries: [summarizePhase(baseline, sloMs, DEMO_POWER_MODEL), summarizePhase(governed, sloMs, DEMO_POWER_MODEL)],
      windowMs,
      directory: options.keep ? directory : null,
    };
  } finally {
    await silicon?.stop();
    ending.close();
    if (!options.keep) rmSync(directory, { recursive: true, force: true });
  }
}

/** Before anything is started: where the kernel does not let us measure there is nothing to show. */
function assertSensorWorks(): void {
  try {
    openSensor({ targets: [{ name: 'probe', ports: [1] }] }).close();
  } catch (error) {
    if (!(error instanceof SensorError)) throw error;
    const message = `the demo measures in the kernel with eBPF, which does not work here: ${error.message}`;
    throw new SensorError(error.code, message, { cause: error });
  }
}

export const policyName = (file: string) => basename(file, extname(file));
