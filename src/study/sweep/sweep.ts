import { NS_PER_MS } from '../../core/units.ts';
import { toleratedRatio } from '../../core/slo.ts';
import { workloadNamed } from '../scenario.ts';
import { percent } from '../summarize-runs.ts';
import { estimateMean, type MeanEstimate } from './confidence.ts';
import type { RunTasksOptions } from './run-tasks.ts';
import { runTasks } from './run-tasks.ts';
import { type PolicyReference, sloOf, type SweepOutcome, type SweepTask } from './sweep-task.ts';

export interface SweepPlan {
  /** The first is what the others are compared with. */
  readonly policies: readonly { readonly name: string; readonly reference: PolicyReference }[];
  readonly workloads: readonly string[];
  readonly traces: readonly string[];
  readonly seeds: readonly number[];
  readonly cores: number;
  readonly durationNs: number;
  /** Whether to look for the clairvoyant reference, which takes its time. */
  readonly reference: boolean;
}

/** One policy under one workload and trace, over all seeds: a line of `--json`. Energy is modelled. */
export interface SweepRow {
  readonly workload: string;
  readonly trace: string;
  readonly policy: string;
  /** Those that were done. */
  readonly seeds: number;
  readonly sloMs: number;
  readonly requests: number;
  /** Mean over the seeds of the quantile of each run; null where nothing completed. */
  readonly p99Ms: number | null;
  /** Of all requests of all seeds. */
  readonly violationRatio: number;
  readonly windows: number;
  readonly missedWindows: number;
  readonly energyJ: MeanEstimate;
  /** 1 − energy ÷ energy of full speed, seed by seed: the same requests. */
  readonly savingVsPerformance: MeanEstimate;
  /** The saving ÷ that of the reference, seed by seed; null where there is none. */
  readonly shareOfAttainableSaving: MeanEstimate | null;
  readonly referenceJ: number | null;
  readonly lowerBoundJ: number | null;
}

export interface SweepResult {
  readonly rows: readonly SweepRow[];
  readonly partial: boolean;
}

/** Runs every policy under every workload, trace and seed. The same plan gives the same result, whatever the threads. */
export async function runSweep(plan: SweepPlan, options: Omit<RunTasksOptions, 'tasks'>): Promise<SweepResult> {
  const cells = plan.workloads.flatMap((workload) => plan.traces.map((trace) => ({ workload, trace })));
  const { cores, durationNs, reference } = plan;
  const tasks = cells.flatMap((cell) =>
    plan.seeds.flatMap((seed) =>
      [null, ...plan.policies.map((policy) => policy.reference)].map((policy): SweepTask => ({
        ...cell,
        seed,
        policy,
        cores,
        durationNs,
        reference,
      })),
    ),
  );
  const outcomes = await runTasks({ ...options, tasks });
  const perSeed = plan.policies.length + 1;
  const rows = cells.flatMap((cell, at) => {
    const seeds = plan.seeds.map((_, seed) => {
      const first = (at * plan.seeds.length + seed) * perSeed;
      return outcomes.slice(first, first + perSeed);
    });
    return plan.policies.flatMap(({ name }, index) => rowOf(cell, name, index + 1, seeds));
  });
  return { rows, partial: outcomes.some((outcome) => outcome === undefined) };
}

/** @param seeds by seed: the bound, then the policies */
function rowOf(
  cell: { readonly workload: string; readonly trace: string },
  policy: string,
  index: number,
  seeds: readonly (readonly (SweepOutcome | undefined)[])[],
): SweepRow[] {
  const done = seeds.flatMap((outcomes) => {
    const [bound, full, run] = [outcomes[0], outcomes[1], outcomes[index]];
    return full?.kind === 'run' && run?.kind === 'run'
      ? [{ bound: bound?.kind === 'bound' ? bound : null, full, run }]
      : [];
  });
  if (done.length === 0) return [];
  const slo = sloOf(workloadNamed(cell.workload));
  const runs = done.map(({ run }) => run);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const requests = sum(runs.map((run) => run.requests));
  const quantiles = runs.flatMap(({ quantileNs }) => (quantileNs === null ? [] : [quantileNs]));
  const meanOrNull = (values: readonly (number | null)[]) => {
    const known = values.flatMap((value) => (value === null ? [] : [value]));
    return known.length === 0 ? null : rounded(sum(known) / known.length, 3);
  };
  const shares = done.flatMap(({ bound, full, run }) => {
    const attainableJ = bound === null || bound.referenceJ === null ? 0 : full.energyJ - bound.referenceJ;
    return attainableJ > 0 ? [(full.energyJ - run.energyJ) / attainableJ] : [];
  });
  return [
    {
      ...cell,
      policy,
      seeds: done.length,
      sloMs: slo.latencyNs / NS_PER_MS,
      requests,
      p99Ms: quantiles.length === 0 ? null : rounded(sum(quantiles) / quantiles.length / NS_PER_MS, 6),
      violationRatio: requests === 0 ? 0 : rounded(sum(runs.map(({ overSlo }) => overSlo)) / requests, 9),
      windows: sum(runs.map(({ windows }) => windows)),
      missedWindows: sum(runs.map(({ missedWindows }) => missedWindows)),
      energyJ: roundedEstimate(estimateMean(runs.map(({ energyJ }) => energyJ)), 3),
      savingVsPerformance: roundedEstimate(
        estimateMean(done.map(({ full, run }) => 1 - run.energyJ / full.energyJ)),
        6,
      ),
      shareOfAttainableSaving: shares.length === 0 ? null : roundedEstimate(estimateMean(shares), 6),
      referenceJ: meanOrNull(done.map(({ bound }) => bound?.referenceJ ?? null)),
      lowerBoundJ: meanOrNull(done.map(({ bound }) => bound?.lowerBoundJ ?? null)),
    },
  ];
}

/** Over all requests of all seeds. */
export const rowKeepsSlo = ({ workload, violationRatio }: SweepRow): boolean =>
  violationRatio <= toleratedRatio(sloOf(workloadNamed(workload))) + 1e-12;

/** A heading and a row a policy, workload and trace. */
export function sweepTable(rows: readonly SweepRow[]): string[][] {
  return [
    [
      'workload',
      'trace',
      'policy',
      'p99 ms',
      'late',
      'windows missed',
      'energy J',
      'saved',
      'of attainable',
      'bound J',
    ],
    ...rows.map((row) => [
      row.workload,
      row.trace,
      row.policy,
      row.p99Ms === null ? '-' : row.p99Ms.toPrecision(3),
      percent(row.violationRatio, 2),
      `${row.missedWindows} of ${row.windows}`,
      withInterval(row.energyJ, (joules) => joules.toFixed(joules < 100 ? 1 : 0)),
      withInterval(row.savingVsPerformance, (share) => (100 * share).toFixed(1), ' %'),
      row.shareOfAttainableSaving === null
        ? '-'
        : withInterval(row.shareOfAttainableSaving, (share) => (100 * share).toFixed(0), ' %'),
      row.lowerBoundJ === null ? '-' : row.lowerBoundJ.toFixed(0),
    ]),
  ];
}

function withInterval({ mean, plusMinus }: MeanEstimate, format: (value: number) => string, unit = ''): string {
  return `${format(mean)}${plusMinus === null ? '' : ` ± ${format(plusMinus)}`}${unit}`;
}

const rounded = (value: number, decimals: number) => Number(value.toFixed(decimals));
const roundedEstimate = ({ mean, plusMinus }: MeanEstimate, decimals: number): MeanEstimate => ({
  mean: rounded(mean, decimals),
  plusMinus: plusMinus === null ? null : rounded(plusMinus, decimals),
});
