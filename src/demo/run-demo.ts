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
import { simulatePhase } from './simulate-phase.ts';
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
  /** Runs on the plant even where the kernel lets us measure. */
  readonly simulated: boolean;
  /** How many times faster than real time simulated time passes. */
  readonly speed: number;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: DemoProgress) => void;
  /** Told before anything runs that it will be on the plant, and why. */
  readonly onSimulated: (because: string) => void;
}

export interface DemoProgress extends PhaseProgress {
  /** On the plant, not on this machine. */
  readonly simulated: boolean;
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
  /** Why it ran on the plant, in one sentence without a full stop; null where it ran on this machine. */
  readonly simulatedBecause: string | null;
  /** Where everything was; null when it has been removed. */
  readonly directory: string | null;
}

/**
 * The whole loop on this machine, but for the silicon: the baseline first, then the policy, under the same load. Where the
 * kernel does not let us measure, the same on the plant. Leaves no process and, unless asked to, no file behind, whether it
 * ends or fails.
 */
export function runDemo(options: DemoOptions): Promise<DemoResult> {
  const because = options.simulated ? 'it was asked for' : whyNotMeasured();
  if (because === null) return runOnThisMachine(options);
  options.onSimulated(because);
  return runOnPlant(options, because);
}

/** What both runs are asked. */
export const demoSchedule = (seed: number, durationMs: number) =>
  scheduleLoad({
    seed,
    durationMs,
    profile: DEMO_PROFILE,
    capacityRps: CAPACITY_RPS,
    meanCycles: MEAN_CYCLES,
    cyclesSigma: CYCLES_SIGMA,
  });

async function runOnPlant(options: DemoOptions, simulatedBecause: string): Promise<DemoResult> {
  const { sloMs, speed, signal } = options;
  const durationMs = options.durationMs / 2;
  const windowMs = windowMsFor(durationMs);
  const schedule = demoSchedule(options.seed, durationMs);
  const phase = (index: 0 | 1, policyFile: string, baseline: PhaseRecord | null) =>
    simulatePhase({
      ...{ name: policyName(policyFile), policyFile, sloMs, durationMs, windowMs, schedule, speed, signal },
      onProgress: (progress) =>
        options.onProgress({ ...progress, simulated: true, phase: index, phaseMs: durationMs, baseline }),
    });
  const baseline = await phase(0, options.baselineFile, null);
  const governed = await phase(1, options.policyFile, baseline);
  return resultOf([baseline, governed], options, { windowMs, simulatedBecause, directory: null });
}

async function runOnThisMachine(options: DemoOptions): Promise<DemoResult> {
  const { sloMs, seed, signal } = options;
  const phaseMs = options.durationMs / 2;
  const windowMs = windowMsFor(phaseMs);
  const schedule = demoSchedule(seed, phaseMs);
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
        onProgress: (progress) =>
          options.onProgress({ ...progress, simulated: false, phase: index, phaseMs, baseline }),
      });
    const baseline = await phase(0, options.baselineFile, null);
    const governed = await phase(1, options.policyFile, baseline);
    return resultOf([baseline, governed], options, {
      windowMs,
      simulatedBecause: null,
      directory: options.keep ? directory : null,
    });
  } finally {
    await silicon?.stop();
    ending.close();
    if (!options.keep) rmSync(directory, { recursive: true, force: true });
  }
}

function resultOf(
  records: DemoResult['records'],
  { sloMs }: DemoOptions,
  rest: Pick<DemoResult, 'windowMs' | 'simulatedBecause' | 'directory'>,
): DemoResult {
  const [baseline, governed] = records.map((record) => summarizePhase(record, sloMs, DEMO_POWER_MODEL));
  return { records, summaries: [baseline!, governed!], ...rest };
}

/** Asked before anything is started. null where the kernel lets us measure. */
function whyNotMeasured(): string | null {
  try {
    openSensor({ targets: [{ name: 'probe', ports: [1] }] }).close();
    return null;
  } catch (error) {
    if (!(error instanceof SensorError)) throw error;
    return `measuring in the kernel with eBPF does not work here: ${error.message}`;
  }
}

export const policyName = (file: string) => basename(file, extname(file));
