import { type Slo, toleratedRatio } from '../core/slo.ts';
import { formatNs, formatPercent, formatQuantile, NS_PER_MS, NS_PER_S } from '../core/units.ts';
import type { TogetherResult } from './simulate-together.ts';

/** What was simulated, in the words of the command line, and what came of it. */
export interface Study extends TogetherResult {
  readonly policies: readonly string[];
  /** The index of the run at full speed, which the others are compared with. */
  readonly baseline: number;
  readonly workload: string;
  readonly trace: string;
  readonly slo: Slo;
}

/** One policy's line of `simulate --json`: a stable surface. Energy and power are modelled. */
export interface RunSummary {
  readonly policy: string;
  readonly workload: string;
  readonly trace: string;
  readonly simulatedSeconds: number;
  readonly wallSeconds: number;
  readonly requests: number;
  /** null where nothing completed. */
  readonly p99Ms: number | null;
  readonly sloMs: number;
  /** Requests over the SLO's bound ÷ requests. */
  readonly violationRatio: number;
  readonly energyJ: number;
  readonly meanPowerW: number;
  /** 1 − energy ÷ energy of full speed. */
  readonly savingVsPerformance: number;
  /** The saving ÷ that of the clairvoyant reference; null where that was not computed, or saves nothing. */
  readonly shareOfAttainableSaving: number | null;
  readonly transitions: number;
  /** Compliance windows of the SLO, the last perhaps cut short, and those that missed it. */
  readonly windows: number;
  readonly missedWindows: number;
  /** Of the clairvoyant reference, and of the proven bound; null where not computed. */
  readonly referenceJ: number | null;
  readonly lowerBoundJ: number | null;
  /** Only there where the run was stopped before its end. */
  readonly partial?: true;
}

/** One a policy, in order. Figures have as many digits as carry meaning. */
export function summarizeRuns({ runs, policies, baseline, ...study }: Study): readonly RunSummary[] {
  const fullJ = runs[baseline]!.energyJ;
  const attainableJ = study.reference === null ? 0 : fullJ - study.reference.joules;
  return runs.map((run, index) => ({
    policy: policies[index]!,
    workload: study.workload,
    trace: study.trace,
    simulatedSeconds: rounded(run.simulatedNs / NS_PER_S, 9),
    wallSeconds: rounded(run.wallNs / NS_PER_S, 3),
    requests: run.requests,
    p99Ms: run.latency.count === 0 ? null : rounded(run.latency.quantileNs(study.slo.quantile) / NS_PER_MS, 6),
    sloMs: study.slo.latencyNs / NS_PER_MS,
    violationRatio: run.requests === 0 ? 0 : rounded(run.overSlo / run.requests, 9),
    energyJ: rounded(run.energyJ, 3),
    meanPowerW: run.simulatedNs === 0 ? 0 : rounded(run.energyJ / (run.simulatedNs / NS_PER_S), 3),
    savingVsPerformance: fullJ === 0 ? 0 : rounded(1 - run.energyJ / fullJ, 6),
    shareOfAttainableSaving: attainableJ > 0 ? rounded((fullJ - run.energyJ) / attainableJ, 6) : null,
    transitions: run.transitions,
    windows: run.windows,
    missedWindows: run.missedWindows,
    referenceJ: study.reference === null ? null : rounded(study.reference.joules, 3),
    lowerBoundJ: study.lowerBoundJ === null ? null : rounded(study.lowerBoundJ, 3),
    ...(study.partial ? { partial: true as const } : {}),
  }));
}

export const keepsSlo = ({ violationRatio }: RunSummary, slo: Slo): boolean =>
  violationRatio <= toleratedRatio(slo) + 1e-12;

/** A heading and a row a policy. It says nothing of real time: equal seeds give equal bytes. */
export function runTable(summaries: readonly RunSummary[], slo: Slo): string[][] {
  const reference = summaries.some(({ shareOfAttainableSaving }) => shareOfAttainableSaving !== null);
  return [
    ['policy', 'requests', formatQuantile(slo.quantile), 'late', 'SLO', 'energy', 'power', 'saved']
      .concat(reference ? ['of attainable'] : [])
      .concat('transitions'),
    ...summaries.map((run) => [
      run.policy,
      String(run.requests),
      run.p99Ms === null ? '-' : formatNs(run.p99Ms * NS_PER_MS),
      formatPercent(run.violationRatio, 2),
      run.requests === 0 ? '-' : keepsSlo(run, slo) ? 'kept' : 'missed',
      `${run.energyJ.toFixed(run.energyJ < 1000 ? 1 : 0)} J`,
      `${run.meanPowerW.toFixed(1)} W`,
      formatPercent(run.savingVsPerformance),
      ...(reference ? [run.shareOfAttainableSaving === null ? '-' : formatPercent(run.shareOfAttainableSaving)] : []),
      String(run.transitions),
    ]),
  ];
}

const rounded = (value: number, decimals: number) => Number(value.toFixed(decimals));
