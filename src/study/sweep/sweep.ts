import { formatNs, formatPercent, formatQuantile, NS_PER_MS } from '../../core/units.ts';
import { estimateMean, type MeanEstimate, withInterval } from './confidence.ts';
import type { RunTasksOptions } from './run-tasks.ts';
import { runTasks } from './run-tasks.ts';
import { namesOfLoad, type SweepCell } from './sweep-cell.ts';
import type { PolicyReference, SweepOutcome, SweepTask } from './sweep-task.ts';

export interface SweepPlan {
  /** The first is what the others are compared with. */
  readonly policies: readonly { readonly name: string; readonly reference: PolicyReference }[];
  readonly cells: readonly SweepCell[];
  /** Whether to look for the clairvoyant reference, which takes its time. */
  readonly reference: boolean;
}

/** One policy in one cell, over all seeds: a line of `--json`. Energy is modelled. */
export interface SweepRow {
  readonly workload: string;
  readonly trace: string;
  readonly server: string;
  readonly policy: string;
  /** Those that were done. */
  readonly seeds: number;
  readonly sloMs: number;
  /** Of the SLO; `p99Ms` is at this quantile. */
  readonly sloQuantile: number;
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

/** Runs every policy in every cell with each of its seeds. The same plan gives the same result, whatever the threads. */
export async function runSweep(plan: SweepPlan, options: Omit<RunTasksOptions, 'tasks'>): Promise<SweepResult> {
  const { cells, reference } = plan;
  const policies = [null, ...plan.policies.map((policy) => policy.reference)];
  const outcomes = await runTasks({
    ...options,
    tasks: cells.flatMap((cell) =>
      cell.seeds.flatMap((seed) => policies.map((policy): SweepTask => ({ cell, seed, policy, reference }))),
    ),
  });
  let next = 0;
  const rows = cells.flatMap((cell) => {
    const seeds = cell.seeds.map(() => outcomes.slice(next, (next += policies.length)));
    return plan.policies.flatMap(({ name }, index) => rowOf(cell, name, index + 1, seeds));
  });
  return { rows, partial: outcomes.some((outcome) => outcome === undefined) };
}

/** @param seeds by seed: the bound, then the policies */
function rowOf(
  { load, server, slo }: SweepCell,
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
      ...namesOfLoad(load),
      server: server.power.name,
      policy,
      seeds: done.length,
      sloMs: slo.latencyNs / NS_PER_MS,
      sloQuantile: slo.quantile,
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
export const rowKeepsSlo = ({ sloQuantile, violationRatio }: SweepRow): boolean =>
  violationRatio <= 1 - sloQuantile + 1e-12;

/** A heading and a row a policy and cell. Servers and objectives are named where they differ. */
export function sweepTable(rows: readonly SweepRow[]): string[][] {
  const differs = (value: (row: SweepRow) => unknown) => new Set(rows.map(value)).size > 1;
  const severalServers = differs(({ server }) => server);
  const severalObjectives = rows.some((row) =>
    rows.some(
      (other) =>
        other.workload === row.workload && (other.sloMs !== row.sloMs || other.sloQuantile !== row.sloQuantile),
    ),
  );
  const oneQuantile = !differs(({ sloQuantile }) => sloQuantile);
  return [
    [
      'workload',
      'trace',
      ...(severalServers ? ['server'] : []),
      ...(severalObjectives ? ['SLO'] : []),
      'policy',
      oneQuantile && rows[0] !== undefined ? `${formatQuantile(rows[0].sloQuantile)} ms` : 'at quantile, ms',
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
      ...(severalServers ? [row.server] : []),
      ...(severalObjectives ? [objectiveOf(row)] : []),
      row.policy,
      row.p99Ms === null ? '-' : row.p99Ms.toPrecision(3),
      formatPercent(row.violationRatio, 2),
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

export const objectiveOf = ({ sloQuantile, sloMs }: SweepRow): string =>
  `${formatQuantile(sloQuantile)} ≤ ${formatNs(sloMs * NS_PER_MS)}`;

const rounded = (value: number, decimals: number) => Number(value.toFixed(decimals));
const roundedEstimate = ({ mean, plusMinus }: MeanEstimate, decimals: number): MeanEstimate => ({
  mean: rounded(mean, decimals),
  plusMinus: plusMinus === null ? null : rounded(plusMinus, decimals),
});
