import { formatNs, formatPercent, NS_PER_MS } from '../../core/units.ts';
import { paretoFront } from '../report/pareto-front.ts';
import type { ReportChart, ReportData } from '../report/report-data.ts';
import { FAR_OFF_SLOS } from '../simulation-report.ts';
import { objectiveOf, rowKeepsSlo, type SweepPlan, type SweepResult, type SweepRow, sweepTable } from './sweep.ts';

/** A page with more charts is not looked at; the table has all cells. */
const MOST_CELL_CHARTS = 24;

/** What was run, in a line. */
export function sweepHeading({ cells, policies }: SweepPlan, { partial }: SweepResult): string {
  const distinct = (texts: readonly string[]) => [...new Set(texts)].join(' or ');
  const cores = distinct(cells.map((cell) => String(cell.cores)));
  const times = distinct(cells.map(({ durationNs }) => formatNs(durationNs)));
  const seeds = distinct(cells.map((cell) => `${cell.seeds.length} from ${cell.seeds[0]}`));
  return `${policies.length} policies in ${cells.length} cells, ${cores} cores, ${times} simulated, seeds: ${seeds}${partial ? ' (partial: stopped)' : ''}`;
}

/** A sweep as a report. The same sweep gives the same bytes. */
export function sweepReport(plan: SweepPlan, result: SweepResult, version: string): ReportData {
  const { rows } = result;
  const names = plan.policies.map(({ name }) => name);
  const cells = byCell(rows);
  const overall = names.map((name) => overallOf(name, rows)).filter(({ cells: count }) => count > 0);
  const [columns = [], ...cellRows] = sweepTable(rows);
  const severalSeeds = rows.some(({ seeds }) => seeds > 1);
  const left = cells.length - MOST_CELL_CHARTS;
  return {
    title: `Simulated: ${names.length} policies in ${plan.cells.length} cells`,
    ...judge(overall.filter(({ name }) => name !== names[0])),
    introduction: [
      `Simulated: the loop and the policies are those that govern a real server; requests, servers, clock and sensor are a model. Energy is modelled. In a cell, a workload under a trace or a recording, every policy was asked exactly the same.`,
      `${sweepHeading(plan, result)}.`,
      severalSeeds
        ? "± is the 95 % confidence interval over the seeds (Student's t). Savings are differences between runs with the same requests, seed by seed."
        : 'One seed a cell: there are no confidence intervals, and a lucky seed can decide.',
    ],
    keyFigures: overall.slice(0, 12).map(({ name, cells: count, kept, saved }) => ({
      label: `${name}: saved, mean over cells`,
      value: formatPercent(saved),
      note: `objective kept in ${kept} of ${count} cells`,
    })),
    runs: names,
    table: {
      title: 'All cells',
      columns,
      rows: cellRows,
      note: 'Energy is modelled. No policy that keeps the objective can take less than the bound.',
    },
    charts: [overallChart(names, overall), ...cells.slice(0, MOST_CELL_CHARTS).map((cell) => cellChart(names, cell))],
    details: [],
    facts: [
      {
        title: 'How to read it',
        items: [
          ...(left > 0
            ? [
                {
                  label: 'charts',
                  value: `of the first ${MOST_CELL_CHARTS} cells; the table has the other ${left}, too`,
                },
              ]
            : []),
          { label: 'windows missed', value: 'compliance windows of a minute in which the objective was not kept' },
          { label: 'of attainable', value: 'the saving ÷ that of the clairvoyant reference, where one was searched' },
          ...[...new Set(rows.map(({ server }) => server))].map((value) => ({ label: 'server', value })),
        ],
      },
    ],
    footer: `Made by tailgov ${version}.`,
  };
}

interface Overall {
  readonly name: string;
  readonly cells: number;
  readonly kept: number;
  /** Means over cells: the saving, and the quantile ÷ the objective. */
  readonly saved: number;
  readonly latencyRatio: number | null;
}

function overallOf(name: string, rows: readonly SweepRow[]): Overall {
  const own = rows.filter(({ policy }) => policy === name);
  const ratios = own.flatMap(({ p99Ms, sloMs }) => (p99Ms === null ? [] : [p99Ms / sloMs]));
  return {
    name,
    cells: own.length,
    kept: own.filter(rowKeepsSlo).length,
    saved: mean(own.map(({ savingVsPerformance }) => savingVsPerformance.mean)),
    latencyRatio: ratios.length === 0 ? null : mean(ratios),
  };
}

/** The one that saves most of those that keep the objective everywhere. */
function judge(governed: readonly Overall[]): Pick<ReportData, 'verdict' | 'verdictTone'> {
  const kept = governed.filter(({ cells, kept: count }) => count === cells).sort((a, b) => b.saved - a.saved);
  const missed = governed.length - kept.length;
  const best = kept[0];
  if (best === undefined) {
    return {
      verdict:
        governed.length === 0
          ? 'Full speed alone: there is nothing to compare.'
          : 'No policy kept the objective in every cell.',
      verdictTone: governed.length === 0 ? 'mixed' : 'bad',
    };
  }
  const others = missed === 0 ? '' : ` ${missed} of ${governed.length} missed it somewhere.`;
  return {
    verdict: `${best.name} kept the objective in every cell and saved ${formatPercent(best.saved)} of the modelled energy of full speed on average.${others}`,
    verdictTone: best.saved > 0 && missed === 0 ? 'good' : 'mixed',
  };
}

function overallChart(names: readonly string[], overall: readonly Overall[]): ReportChart {
  const points = overall.map(({ name, saved, latencyRatio }) => ({
    name,
    x: latencyRatio === null || latencyRatio > FAR_OFF_SLOS ? null : significant(latencyRatio),
    y: significant(100 * (1 - saved)),
  }));
  return {
    title: 'Energy against latency, over all cells',
    note: `A point a policy: means over the cells, energy against full speed and latency against the objective. The dashed line joins those that no other beats in both.${offChart(points)}`,
    yFrom: 'data',
    xLabel: 'latency ÷ objective',
    yLabel: 'energy, % of full speed',
    xScale: 'linear',
    yScale: 'linear',
    series: [
      ...points.map(({ name, x, y }) => ({
        label: name,
        run: names.indexOf(name),
        style: 'points' as const,
        x: x === null ? [] : [x],
        y: x === null ? [] : [y],
      })),
      { label: 'front', run: 0, style: 'dashed', ...paretoFront(points) },
    ],
    limits: [{ label: 'objective', axis: 'x', value: 1 }],
  };
}

function cellChart(names: readonly string[], rows: readonly SweepRow[]): ReportChart {
  const first = rows[0]!;
  const points = rows.map(({ policy, p99Ms, sloMs, energyJ }) => ({
    name: policy,
    x: p99Ms === null || p99Ms > FAR_OFF_SLOS * sloMs ? null : significant(p99Ms),
    y: significant(energyJ.mean / 1000),
    plusMinus: energyJ.plusMinus === null ? null : significant(energyJ.plusMinus / 1000),
  }));
  const joules = (label: string, value: number | null) =>
    value === null ? [] : [{ label, axis: 'y' as const, value: value / 1000 }];
  return {
    title: `${first.workload} under ${first.trace}`,
    note: `${objectiveOf(first)}, ${first.server}. A point a policy, with the confidence interval of its energy; the dashed line joins those that no other beats in both.${offChart(points)}`,
    yFrom: 'data',
    xLabel: 'latency at the quantile, ms',
    yLabel: 'kJ',
    xScale: 'linear',
    yScale: 'linear',
    series: [
      ...points.map(({ name, x, y, plusMinus }) => ({
        label: name,
        run: names.indexOf(name),
        style: 'points' as const,
        x: x === null ? [] : [x],
        y: x === null ? [] : [y],
        plusMinus: x === null ? [] : [plusMinus],
      })),
      { label: 'front', run: 0, style: 'dashed', ...paretoFront(points) },
    ],
    limits: [
      { label: `SLO ${formatNs(first.sloMs * NS_PER_MS)}`, axis: 'x', value: first.sloMs },
      ...joules('clairvoyant reference', first.referenceJ),
      ...joules('proven bound', first.lowerBoundJ),
    ],
  };
}

function offChart(points: readonly { readonly name: string; readonly x: number | null }[]): string {
  const off = points.filter(({ x }) => x === null).map(({ name }) => name);
  return off.length === 0 ? '' : ` Off the chart: ${off.join(', ')}.`;
}

/** Rows of the same cell follow each other: the policies of one after those of the other, each beginning with the first. */
function byCell(rows: readonly SweepRow[]): readonly (readonly SweepRow[])[] {
  const first = rows[0]?.policy;
  const starts = rows.flatMap(({ policy }, index) => (policy === first ? [index] : []));
  return starts.map((start, index) => rows.slice(start, starts[index + 1]));
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
const significant = (value: number) => Number(value.toPrecision(6));
