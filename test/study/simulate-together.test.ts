import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { controllers } from '../../src/compose/controllers.ts';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { NS_PER_S } from '../../src/core/units.ts';
import { loadTraces } from '../../src/plant/load-trace.ts';
import { xeonSilver4114 } from '../../src/plant/servers.ts';
import { workloads } from '../../src/plant/workloads.ts';
import { loadPolicy } from '../../src/policy/load-policy.ts';
import { buildReport } from '../../src/study/report/build-report.ts';
import { simulateTogether, type TogetherOptions } from '../../src/study/simulate-together.ts';
import { simulationReport } from '../../src/study/simulation-report.ts';
import { runTable, type Study, summarizeRuns } from '../../src/study/summarize-runs.ts';

const POLICIES = ['performance', 'pid', 'threshold'];
const workload = workloads['microservice']!;
const slo = { quantile: 0.99, latencyNs: workload.sloLatencyNs, windowMs: 60_000 };
const stoppedClock: Clock = { monotonicNs: () => 0n, wallMs: () => 0 };

const options = (overrides: Partial<TogetherOptions> = {}): TogetherOptions => ({
  policies: POLICIES.map((name) => loadPolicy(join(import.meta.dirname, `../../policies/${name}.yaml`), controllers)),
  workload,
  trace: loadTraces['constant']!(5 * NS_PER_S),
  server: xeonSilver4114,
  cores: 2,
  seed: 3,
  durationNs: 5 * NS_PER_S,
  slo,
  reference: false,
  clock: stoppedClock,
  signal: new AbortController().signal,
  ...overrides,
});
const studyOf = async (overrides: Partial<TogetherOptions> = {}): Promise<Study> => ({
  ...(await simulateTogether(options(overrides))),
  ...{ policies: POLICIES, baseline: 0, workload: 'microservice', trace: 'constant', slo },
});
const context = { version: '1.2.3', seed: 3, workload, server: xeonSilver4114, cores: 2 };

/** Everything that is put out: JSON, table and report. */
function outputOf(study: Study): string {
  const summaries = summarizeRuns(study);
  return [
    JSON.stringify(summaries),
    JSON.stringify(runTable(summaries, slo)),
    buildReport(simulationReport(study, context)),
  ].join('\n');
}

describe('simulateTogether()', () => {
  it('puts out the same bytes for the same seed', async () => {
    const output = outputOf(await studyOf());
    expect(outputOf(await studyOf())).toBe(output);
    expect(outputOf(await studyOf({ seed: 4 }))).not.toBe(output);
  });

  it('stops at a signal, with runs that can be compared', async () => {
    const interrupt = new AbortController();
    const study = await studyOf({
      durationNs: 3600 * NS_PER_S,
      signal: interrupt.signal,
      reference: true,
      onProgress: ({ simulatedNs }) => {
        if (simulatedNs >= 2 * NS_PER_S) interrupt.abort();
      },
    });
    expect(study).toMatchObject({ partial: true, reference: null });
    expect(study.runs.map(({ simulatedNs }) => simulatedNs)).toEqual(POLICIES.map(() => 2 * NS_PER_S));
    expect(new Set(study.runs.map(({ arrivals }) => arrivals)).size).toBe(1);
    const summaries = summarizeRuns(study);
    expect(summaries.every(({ partial, shareOfAttainableSaving }) => partial && shareOfAttainableSaving === null)).toBe(
      true,
    );
    expect(simulationReport(study, context).introduction.join()).toContain('Partial: stopped after 2.00 s');
  });

  it('lets a signal through', async () => {
    const interrupt = new AbortController();
    setTimeout(() => interrupt.abort(), 20);
    const { partial } = await simulateTogether(
      options({ durationNs: 1e6 * NS_PER_S, clock: systemClock, signal: interrupt.signal }),
    );
    expect(partial).toBe(true);
  });

  it('says what share of the attainable saving a policy has', async () => {
    const durationNs = 2 * NS_PER_S;
    const study = await studyOf({ durationNs, reference: true, trace: loadTraces['step']!(durationNs) });
    expect(study.reference?.meetsSlo).toBe(true);
    const [performance, pid] = summarizeRuns(study);
    expect(performance!.shareOfAttainableSaving).toBe(0);
    const attainableJ = study.runs[0]!.energyJ - study.reference!.joules;
    expect(attainableJ).toBeGreaterThan(0);
    expect(pid!.shareOfAttainableSaving).toBeCloseTo(
      (study.runs[0]!.energyJ - study.runs[1]!.energyJ) / attainableJ,
      5,
    );
    expect(runTable(summarizeRuns(study), slo)[0]).toContain('of attainable');
  });
});

describe('summarizeRuns()', () => {
  it('has these keys, and no others', async () => {
    for (const summary of summarizeRuns(await studyOf({ durationNs: NS_PER_S }))) {
      expect(Object.keys(summary)).toEqual(
        'policy workload trace simulatedSeconds wallSeconds requests p99Ms sloMs violationRatio energyJ meanPowerW savingVsPerformance shareOfAttainableSaving transitions windows missedWindows referenceJ lowerBoundJ'.split(
          ' ',
        ),
      );
    }
  });

  it('compares with full speed', async () => {
    const study = await studyOf();
    const [performance, pid] = summarizeRuns(study);
    expect(performance).toMatchObject({ policy: 'performance', savingVsPerformance: 0, transitions: 0, sloMs: 10 });
    expect(pid!.savingVsPerformance).toBeCloseTo(1 - study.runs[1]!.energyJ / study.runs[0]!.energyJ, 6);
    expect(pid!.meanPowerW).toBeCloseTo(study.runs[1]!.energyJ / 5, 3);
    expect(pid!.violationRatio).toBeCloseTo(study.runs[1]!.overSlo / study.runs[1]!.requests, 9);
  });
});

describe('simulationReport()', () => {
  it('shows every policy in each chart but the load, and says what is modelled', async () => {
    const study = await studyOf();
    const { charts, runs, table, introduction } = simulationReport(study, context);
    expect(runs).toEqual(POLICIES);
    expect(charts.map(({ title }) => title)).toEqual([
      'Load',
      'Latency',
      'Frequency',
      'Energy so far, modelled',
      'How many requests were slower',
      'Energy against p99',
    ]);
    for (const { series } of charts.slice(1, -1)) expect(series.map(({ run }) => run)).toEqual([0, 1, 2]);
    expect(charts.at(-1)!.series.map(({ label }) => label)).toEqual([...POLICIES, 'front']);
    for (const { x, y } of charts.flatMap(({ series }) => series)) {
      expect(x.length).toBe(y.length);
      expect(x).toEqual([...x].sort((a, b) => a - b));
    }
    expect(table.rows.length).toBe(3);
    expect(introduction.join()).toContain('modelled');
  });

  const verdictWhere = async (overSlo: readonly number[]) => {
    const study = await studyOf({ durationNs: NS_PER_S });
    const runs = study.runs.map((run, index) => ({ ...run, requests: 1000, overSlo: overSlo[index]! }));
    return simulationReport({ ...study, runs }, context);
  };
  it('praises no policy that misses the objective', async () => {
    expect(await verdictWhere([0, 11, 11])).toMatchObject({
      verdictTone: 'bad',
      verdict: 'No policy kept p99 ≤ 10.0 ms.',
    });
    expect((await verdictWhere([11, 11, 11])).verdict).toContain('Full speed missed it, too.');
    expect(await verdictWhere([0, 11, 10])).toMatchObject({
      verdictTone: 'mixed',
      verdict: expect.stringMatching(/^threshold kept .* pid missed it\.$/) as string,
    });
  });
});
