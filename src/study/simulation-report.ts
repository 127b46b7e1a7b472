import { describePowerModel } from '../core/power-model.ts';
import { formatNs, formatPercent, formatQuantile, NS_PER_MS, NS_PER_S } from '../core/units.ts';
import type { IdleState, ServerModel } from '../plant/server-model.ts';
import type { Workload } from '../plant/workloads.ts';
import { paretoFront } from './report/pareto-front.ts';
import type { ReportChart, ReportData, ReportSeries } from './report/report-data.ts';
import { survivalOf } from './report/survival.ts';
import { FULL_LOAD_RATIO, type RunPoint } from './simulated-run.ts';
import { keepsSlo, type RunSummary, runTable, type Study, summarizeRuns } from './summarize-runs.ts';

export interface SimulationReportContext {
  readonly version: string;
  readonly seed: number;
  readonly workload: Workload;
  readonly server: ServerModel;
  readonly cores: number;
}

/** A study as a report. The same study gives the same bytes. */
export function simulationReport(study: Study, context: SimulationReportContext): ReportData {
  const { policies, slo, runs, partial, reference, lowerBoundJ } = study;
  const summaries = summarizeRuns(study);
  const [columns = [], ...rows] = runTable(summaries, slo);
  const { idleStates } = context.server;
  const verdict = judge(study, summaries);
  const simulated = formatNs(runs[study.baseline]!.simulatedNs);
  const objective = `${formatQuantile(slo.quantile)} ≤ ${formatNs(slo.latencyNs)}`;
  return {
    title: `Simulated: ${study.workload} under ${study.trace}`,
    verdict: verdict.text,
    verdictTone: verdict.tone,
    introduction: [
      'Simulated: the loop and the policies are those that govern a real server; requests, server, clock and sensor are a model. Energy and power are modelled. Every policy was asked exactly the same.',
      ...(partial ? [`Partial: stopped after ${simulated} of simulated time.`] : []),
    ],
    keyFigures: summaries.map((run, index) => ({
      ...(index === study.baseline
        ? { label: `${run.policy}: energy, modelled`, value: `${run.energyJ.toFixed(0)} J` }
        : { label: `${run.policy}: saved, modelled`, value: formatPercent(run.savingVsPerformance) }),
      note: `${formatQuantile(slo.quantile)} ${latencyText(run)}, ${formatPercent(run.violationRatio, 2)} late`,
    })),
    runs: policies,
    table: { title: 'Policies side by side', columns, rows, note: 'Energy and power are modelled.' },
    charts: chartsOf(study, summaries),
    details: [],
    facts: [
      {
        title: 'What was simulated, and how',
        items: [
          { label: 'time', value: `${simulated}, seed ${context.seed}` },
          { label: 'objective', value: objective },
          { label: 'workload', value: `${study.workload}: ${context.workload.summary}` },
          { label: 'its source', value: context.workload.source },
          {
            label: 'load',
            value: `trace ${study.trace}; at 1 the work keeps the cores busy for ${formatPercent(FULL_LOAD_RATIO, 0)} of the time at full speed`,
          },
          { label: 'server', value: `${context.cores} cores of ${context.server.power.name}` },
          { label: 'power model', value: describePowerModel(context.server.power) },
          ...(idleStates.length === 0
            ? []
            : [{ label: 'idle cores instead', value: idleStates.map(describeIdleState).join('; ') }]),
          { label: 'its source', value: context.server.power.source },
          { label: 'it leaves out', value: context.server.power.leavesOut },
          ...(lowerBoundJ === null
            ? []
            : [
                {
                  label: 'proven lower bound',
                  value: `${lowerBoundJ.toFixed(0)} J: no policy that keeps the objective can take less, not even with knowledge of the future`,
                },
              ]),
          ...(reference === null
            ? []
            : [
                {
                  label: 'clairvoyant reference',
                  value: `${reference.joules.toFixed(0)} J, ${formatPercent(reference.lateRatio, 2)} late: one frequency for all cores, chosen with knowledge of every request`,
                },
              ]),
        ],
      },
    ],
    footer: `Made by tailgov ${context.version}.`,
  };
}

/** The one that saves most of those that keep the objective. */
function judge({ slo, baseline }: Study, summaries: readonly RunSummary[]) {
  const governed = summaries.filter((_, index) => index !== baseline);
  const kept = governed.filter((run) => keepsSlo(run, slo)).sort((a, b) => a.energyJ - b.energyJ);
  const missed = governed.filter((run) => !keepsSlo(run, slo)).map(({ policy }) => policy);
  const objective = `${formatQuantile(slo.quantile)} ≤ ${formatNs(slo.latencyNs)}`;
  const missing = missed.length === 0 ? '' : ` ${missed.join(', ')} missed it.`;
  const best = kept[0];
  if (governed.length === 0) return { text: 'Full speed alone: there is nothing to compare.', tone: 'mixed' as const };
  if (best === undefined) {
    const excuse = keepsSlo(summaries[baseline]!, slo) ? '' : ' Full speed missed it, too.';
    return { text: `No policy kept ${objective}.${excuse}`, tone: 'bad' as const };
  }
  const text = `${best.policy} kept ${objective} (${latencyText(best)}) and saved ${formatPercent(best.savingVsPerformance)} of the modelled energy of full speed.${missing}`;
  return { text, tone: best.savingVsPerformance > 0 && missed.length === 0 ? ('good' as const) : ('mixed' as const) };
}

/** Beyond so many times the objective's latency a policy is lost anyhow. */
export const FAR_OFF_SLOS = 4;

function chartsOf(
  { runs, policies, slo, baseline, reference, lowerBoundJ }: Study,
  summaries: readonly RunSummary[],
): ReportChart[] {
  const quantile = formatQuantile(slo.quantile);
  const sloMs = slo.latencyNs / NS_PER_MS;
  const bound = (axis: 'x' | 'y') => ({ label: `SLO ${formatNs(slo.latencyNs)}`, axis, value: sloMs });
  const overTime = { xLabel: 'simulated time, s', xScale: 'linear', yScale: 'linear', limits: [] } as const;
  const each = (style: ReportSeries['style'], value: (point: RunPoint) => number | null): ReportSeries[] =>
    runs.map(({ points }, run) => ({
      label: policies[run]!,
      run,
      style,
      x: points.map(({ atS }) => atS),
      y: points.map((point) => significant(value(point))),
    }));
  const isFarOff = (quantileNs: number | null) => quantileNs !== null && quantileNs > FAR_OFF_SLOS * slo.latencyNs;
  const near = summaries.map(({ p99Ms }) => p99Ms !== null && !isFarOff(p99Ms * NS_PER_MS));
  const off = summaries.filter((_, run) => !near[run]);
  const pointsNear = summaries
    .filter((_, run) => near[run])
    .map(({ p99Ms, energyJ }) => ({ x: p99Ms, y: Number((energyJ / 1000).toPrecision(6)) }));
  const beside =
    off.length === 0 ? '' : ` Off the chart: ${off.map((run) => `${run.policy} (${latencyText(run)})`).join(', ')}.`;
  const stretch = formatNs((runs[0]?.points[0]?.atS ?? 0) * NS_PER_S);
  return [
    {
      ...overTime,
      title: 'Load',
      note: 'Requests that arrived a second, the same for every policy.',
      yLabel: 'requests/s',
      series: each('line', ({ arrivalsPerS }) => arrivalsPerS)
        .slice(0, 1)
        .map((series) => ({ ...series, label: 'arrived' })),
    },
    {
      ...overTime,
      title: 'Latency',
      note: `${quantile} of each ${stretch}.`,
      yLabel: 'ms',
      // One that is far off would flatten all others.
      yScale: runs.some(({ points }) => points.some(({ quantileNs }) => isFarOff(quantileNs))) ? 'log' : 'linear',
      series: each('line', ({ quantileNs }) => (quantileNs === null ? null : quantileNs / NS_PER_MS)),
      limits: [bound('y')],
    },
    {
      ...overTime,
      title: 'Frequency',
      note: `Mean over the cores and each ${stretch}.`,
      yLabel: 'GHz',
      series: each('line', ({ frequencyKhz }) => frequencyKhz / 1e6),
    },
    {
      ...overTime,
      title: 'Energy so far, modelled',
      note: 'The whole package.',
      yLabel: 'kJ',
      series: each('line', ({ energyJ }) => energyJ / 1000),
    },
    {
      title: 'How many requests were slower',
      note: 'The share of all requests that took longer than a given time.',
      xLabel: 'latency, ms',
      yLabel: 'share slower',
      xScale: 'log',
      yScale: 'log',
      series: runs.map(({ latency }, run) => ({
        label: policies[run]!,
        run,
        style: 'line' as const,
        ...survivalOf(latency),
      })),
      limits: [bound('x'), { label: formatPercent(1 - slo.quantile, 0), axis: 'y', value: 1 - slo.quantile }],
    },
    {
      title: `Energy against ${quantile}`,
      note: `A point a policy. The lowest one left of the SLO is the best; the dashed line joins those that no other beats in both.${beside} Energy is modelled.`,
      yFrom: 'data',
      xLabel: `${quantile} of the run, ms`,
      yLabel: 'kJ',
      xScale: 'linear',
      yScale: 'linear',
      series: [
        ...summaries.map(({ policy, p99Ms, energyJ }, run) => ({
          label: policy,
          run,
          style: 'points' as const,
          x: p99Ms === null || !near[run]! ? [] : [p99Ms],
          y: p99Ms === null || !near[run]! ? [] : [significant(energyJ / 1000)],
        })),
        { label: 'front', run: baseline, style: 'dashed', ...paretoFront(pointsNear) },
      ],
      limits: [
        bound('x'),
        ...(reference === null ? [] : [kilojoules('clairvoyant reference', reference.joules)]),
        ...(lowerBoundJ === null ? [] : [kilojoules('proven bound', lowerBoundJ)]),
      ],
    },
  ];
}

const kilojoules = (label: string, joules: number) => ({ label, axis: 'y' as const, value: joules / 1000 });

const describeIdleState = ({ name, afterNs, wakeNs, watts }: IdleState) =>
  `${name} after ${formatNs(afterNs)}: ${watts} W, ${formatNs(wakeNs)} to wake`;
const latencyText = ({ p99Ms }: RunSummary) => (p99Ms === null ? 'unknown' : formatNs(p99Ms * NS_PER_MS));
const significant = (value: number | null) => (value === null ? null : Number(value.toPrecision(6)));
