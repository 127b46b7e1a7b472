import { cpus, release, totalmem } from 'node:os';
import { Histogram } from '../core/histogram.ts';
import { describePowerModel } from '../core/power-model.ts';
import type { TickReport } from '../core/tick-report.ts';
import { formatKhz, formatPercent, NS_PER_MS } from '../core/units.ts';
import { survivalOf } from '../study/report/survival.ts';
import type { ReportChart, ReportData, ReportFacts, ReportSeries, ReportTable } from '../study/report/report-data.ts';
import { caveats, comparisonRows, joules, judge, ms, watts } from './compare-phases.ts';
import {
  CAPACITY_RPS,
  CYCLES_SIGMA,
  DEMO_MOCK,
  DEMO_POWER_MODEL,
  FULL_SPEED_KHZ,
  MEAN_CYCLES,
  QUANTILE,
  WORK_AROUND_MS,
} from './demo-settings.ts';
import { DEMO_PROFILE } from './load-schedule.ts';
import { PREFERRED_NICENESS } from './part.ts';
import type { PhaseRecord } from './phase-record.ts';
import type { DemoResult } from './run-demo.ts';
import { demoServer } from './simulated-server.ts';
import { clipSpans, frequencyChanges, quantileOf, spanEnergyJ } from './summarize-phase.ts';

export interface DemoReportContext {
  readonly version: string;
  readonly seed: number;
  readonly sloMs: number;
  readonly finishedAt: Date;
}

/** What a demo on the plant is, in one sentence. */
const SIMULATED_NOTE =
  'Simulated: server, client, sensor, silicon and time are models. The loop, its controllers and its policies are the very ones that govern a machine.';

/** The demo's result as a report. */
export function demoReport(result: DemoResult, context: DemoReportContext): ReportData {
  const { records, summaries, simulatedBecause } = result;
  const [baseline, governed] = summaries;
  const source = simulatedBecause === null ? 'kernel sensor' : 'simulated';
  const verdict = judge(baseline, governed);
  return {
    title: `tailgov demo${simulatedBecause === null ? '' : ', simulated'}: ${governed.name} against ${baseline.name}`,
    verdict: verdict.text,
    verdictTone: verdict.tone,
    introduction: [
      simulatedBecause === null
        ? 'Real: the server, its sockets, the client, the kernel sensor, the governor and its writes. Modelled: the silicon, a mock of the cpufreq files whose frequency decides how long the server works for a request, and with it power and energy.'
        : `${SIMULATED_NOTE} Why: ${simulatedBecause}.`,
      ...caveats(baseline, governed),
    ],
    keyFigures: [
      {
        label: `energy of ${governed.name}, modelled`,
        value: joules(governed.energyJ),
        note: `${baseline.name}: ${joules(baseline.energyJ)}`,
      },
      {
        label: 'mean power, modelled',
        value: watts(governed.meanPowerW),
        note: `${baseline.name}: ${watts(baseline.meanPowerW)}`,
      },
      {
        label: `p99, ${source}`,
        value: ms(governed.sensor.p99Ms),
        note: `${baseline.name}: ${ms(baseline.sensor.p99Ms)}; SLO ${ms(context.sloMs)}`,
      },
      ...(simulatedBecause === null
        ? [
            {
              label: 'p99, client',
              value: ms(governed.clientFromDue.p99Ms),
              note: `${baseline.name}: ${ms(baseline.clientFromDue.p99Ms)}; from the instant due`,
            },
          ]
        : []),
      {
        label: 'mean frequency',
        value: formatKhz(governed.meanFrequencyKhz),
        note: `${governed.frequencyChanges} changes; ${baseline.name}: ${formatKhz(baseline.meanFrequencyKhz)}`,
      },
    ],
    runs: records.map(({ name }) => name),
    table: comparisonTable(result),
    charts: demoCharts(result, context.sloMs),
    details: records.map(decisionTable).filter((table) => table.rows.length > 0),
    facts: demoFacts(result, context),
    footer: `Made by tailgov ${context.version} on ${context.finishedAt.toISOString()}.`,
  };
}

/** The comparison, as it is printed, too. */
export function comparisonTable({ summaries: [baseline, governed], simulatedBecause }: DemoResult): ReportTable {
  return {
    title: 'Both runs',
    columns: ['', baseline.name, governed.name, 'difference'],
    rows: comparisonRows(baseline, governed),
    note:
      simulatedBecause !== null
        ? SIMULATED_NOTE
        : 'Power and energy are modelled, everything else is measured. The sensor counts from the arrival at the server’s socket to the last byte of the reply; the client’s own delay and the way there and back come on top of it.',
  };
}

function demoCharts(result: DemoResult, sloMs: number): ReportChart[] {
  const simulated = result.simulatedBecause !== null;
  // On the plant the client sees what the sensor sees.
  return chartsOf(result, sloMs).flatMap((chart) => {
    const series = simulated ? chart.series.filter(({ label }) => !label.startsWith('client')) : chart.series;
    return simulated && chart.title === SENSOR_CHECK ? [] : [{ ...chart, series }];
  });
}

const SENSOR_CHECK = 'Is the sensor right?';

function chartsOf({ records, windowMs }: DemoResult, sloMs: number): ReportChart[] {
  const each = (series: (record: PhaseRecord, run: number) => ReportSeries | ReportSeries[]) =>
    records.flatMap((record, run) => series(record, run));
  const slo = { label: `SLO ${ms(sloMs)}`, axis: 'y', value: sloMs } as const;
  const overTime = { xLabel: 'time, s', xScale: 'linear', yScale: 'linear', limits: [] } as const;
  // What was left over at the end is too short to be a point like the others.
  const whole = (record: PhaseRecord) => record.windows.filter((w) => w.windowMs > windowMs / 2);
  const windowS = windowMs / 1000;
  const window = windowS === 1 ? 'second' : `${windowS} s`;
  const fromWindows = (
    record: PhaseRecord,
    run: number,
    label: string,
    style: ReportSeries['style'],
    value: (w: PhaseRecord['windows'][number]) => number | null,
  ): ReportSeries => ({
    label: `${label}, ${record.name}`,
    run,
    style,
    x: whole(record).map((w) => round(w.atMs / 1000)),
    y: whole(record).map(value),
  });
  return [
    {
      ...overTime,
      title: 'Load',
      note: 'Requests that arrived and requests answered a second, by the sensor. Both runs get the same requests at the same instants.',
      yLabel: 'requests/s',
      series: each((record, run) => [
        fromWindows(record, run, 'arrived', 'dashed', (w) => perSecond(w.arrivals, w.windowMs)),
        fromWindows(record, run, 'answered', 'line', (w) => perSecond(w.requests, w.windowMs)),
      ]),
    },
    {
      ...overTime,
      title: 'Latency by the kernel sensor',
      note: `p99 and p50 (dashed) of each ${window}: the p99 of so short a window is little more than its slowest request.`,
      yLabel: 'ms',
      series: each((record, run) => [
        fromWindows(record, run, 'p99', 'line', (w) => quantileMs(w.latency, QUANTILE)),
        fromWindows(record, run, 'p50', 'dashed', (w) => quantileMs(w.latency, 0.5)),
      ]),
      limits: [slo],
    },
    {
      ...overTime,
      title: 'Frequency',
      note: 'What the governor applied.',
      yLabel: 'GHz',
      series: each((record, run) => fromTicks(record, run, 'frequency', (tick) => highestGhz(tick))),
    },
    {
      ...overTime,
      title: 'Power, modelled',
      note: 'The whole package: static power, three idle cores, and the server’s core.',
      yLabel: 'W',
      series: each((record, run) => powerSeries(record, run, windowMs)),
    },
    {
      ...overTime,
      title: 'Socket wait',
      note: 'Mean time from a request’s arrival until the server reads it: the queue that the server itself does not see.',
      yLabel: 'ms',
      series: each((record, run) =>
        fromWindows(record, run, 'socket wait', 'line', (w) =>
          w.socketWait.count === 0 ? null : w.socketWait.meanNs / NS_PER_MS,
        ),
      ),
    },
    {
      ...overTime,
      title: 'Level',
      note: 'What the machine was at, and what the controller asked for (dashed): the share of full capacity.',
      yLabel: 'level',
      series: each((record, run) => [
        fromTicks(record, run, 'applied', (tick) => tick.services[0]?.appliedLevel ?? null),
        {
          ...fromTicks(record, run, 'asked', (tick) => tick.services[0]?.decision.askedLevel ?? null),
          style: 'dashed',
        },
      ]),
    },
    {
      title: 'How many requests were slower',
      note: 'The share of all requests that took longer than a given time, by the sensor and, dashed, by the client from the instant due.',
      xLabel: 'latency, ms',
      yLabel: 'share slower',
      xScale: 'log',
      yScale: 'log',
      series: each((record, run) => [
        { label: `sensor, ${record.name}`, run, style: 'line', ...survivalOf(mergedLatency(record)) },
        { label: `client, ${record.name}`, run, style: 'dashed', ...survivalOfTimes(clientFromDueMs(record)) },
      ]),
      limits: [
        { label: `SLO ${ms(sloMs)}`, axis: 'x', value: sloMs },
        { label: '1 %', axis: 'y', value: 1 - QUANTILE },
      ],
    },
    {
      ...overTime,
      title: SENSOR_CHECK,
      note: `p99 of each ${window}: the sensor’s, and the client’s from the write (dashed), which includes its own delays.`,
      yLabel: 'ms',
      series: each((record, run) => [
        fromWindows(record, run, 'sensor', 'line', (w) => quantileMs(w.latency, QUANTILE)),
        clientQuantileSeries(record, run, windowMs),
      ]),
      limits: [slo],
    },
  ];
}

function fromTicks(
  record: PhaseRecord,
  run: number,
  label: string,
  value: (tick: TickReport) => number | null,
): ReportSeries {
  return {
    label: `${label}, ${record.name}`,
    run,
    style: 'step',
    x: record.ticks.map((tick) => round((tick.atMs - record.startMs) / 1000)),
    y: record.ticks.map(value),
  };
}

function powerSeries(record: PhaseRecord, run: number, windowMs: number): ReportSeries {
  const windows = Math.ceil(record.durationMs / windowMs);
  const ends = Array.from({ length: windows }, (_, index) => Math.min((index + 1) * windowMs, record.durationMs));
  return {
    label: `power, ${record.name}`,
    run,
    style: 'line',
    x: ends.map((endMs) => endMs / 1000),
    y: ends.map((endMs, index) => {
      const spans = clipSpans(record.spans, record.startMs + index * windowMs, record.startMs + endMs);
      const lengthMs = spans.reduce((total, span) => total + span.toMs - span.fromMs, 0);
      const energyJ = spans.reduce((total, span) => total + spanEnergyJ(span, DEMO_POWER_MODEL), 0);
      return lengthMs === 0 ? null : round(energyJ / (lengthMs / 1000));
    }),
  };
}

/** By the window in which the reply came, as the sensor has it. */
function clientQuantileSeries(record: PhaseRecord, run: number, windowMs: number): ReportSeries {
  const byWindow: number[][] = Array.from({ length: Math.ceil(record.durationMs / windowMs) }, () => []);
  record.load.latencyMs.forEach((latencyMs, index) => {
    const repliedMs = record.schedule.dueMs[index]! + record.load.lateMs[index]! + latencyMs;
    byWindow[Math.floor(repliedMs / windowMs)]?.push(latencyMs);
  });
  return {
    label: `client, ${record.name}`,
    run,
    style: 'dashed',
    x: byWindow.map((_, index) => Math.min((index + 1) * windowMs, record.durationMs) / 1000),
    y: byWindow.map((times) =>
      times.length === 0
        ? null
        : round(
            quantileOf(
              times.sort((a, b) => a - b),
              QUANTILE,
            ),
          ),
    ),
  };
}

function mergedLatency(record: PhaseRecord): Histogram {
  const merged = new Histogram();
  for (const window of record.windows) merged.add(window.latency);
  return merged;
}

const clientFromDueMs = (record: PhaseRecord) =>
  [...record.load.latencyMs]
    .map((latencyMs, index) => latencyMs + record.load.lateMs[index]!)
    .filter((value) => !Number.isNaN(value));

const SURVIVAL_POINTS = 300;

/** Thinned evenly on the logarithm of the share, so that the tail keeps its points. */
function survivalOfTimes(timesMs: readonly number[]): { x: number[]; y: number[] } {
  const sorted = [...timesMs].sort((a, b) => a - b);
  const ranks = new Set<number>();
  for (let point = 0; point < SURVIVAL_POINTS; point++) {
    ranks.add(sorted.length - Math.round(sorted.length ** (1 - point / SURVIVAL_POINTS)));
  }
  const [x, y]: [number[], number[]] = [[], []];
  for (const rank of ranks) {
    const time = sorted[rank];
    const share = (sorted.length - rank - 1) / sorted.length;
    if (time === undefined || share <= 0 || time <= (x.at(-1) ?? 0)) continue;
    x.push(round(time));
    y.push(share);
  }
  return { x, y };
}

function decisionTable(record: PhaseRecord): ReportTable {
  return {
    title: `Frequency changes of ${record.name}, and why`,
    columns: ['at', 'frequency', 'level', 'reason'],
    rows: frequencyChanges(record.ticks).map((tick) => {
      const service = tick.services[0];
      const ghz = highestGhz(tick);
      return [
        `${((tick.atMs - record.startMs) / 1000).toFixed(1)} s`,
        ghz === null ? 'unknown' : formatKhz(ghz * 1e6),
        service?.appliedLevel.toFixed(3) ?? '',
        service?.decision.reason ?? '',
      ];
    }),
  };
}

function demoFacts(result: DemoResult, context: DemoReportContext): ReportFacts[] {
  return [
    result.simulatedBecause === null ? measuredFacts(result, context) : simulatedFacts(result, context),
    MODELLED,
  ];
}

function loadText({ schedule, durationMs }: PhaseRecord, seed: number): string {
  const profile = DEMO_PROFILE.map(
    ({ at, load }) => `${(load * 100).toFixed(0)} % at ${((at * durationMs) / 1000).toFixed(1)} s`,
  ).join(', ');
  return `seed ${seed}, ${schedule.dueMs.length} requests in ${durationMs / 1000} s, Poisson, ${profile} of the capacity at full speed`;
}

function simulatedFacts({ records, simulatedBecause }: DemoResult, context: DemoReportContext): ReportFacts {
  const [baseline, governed] = records;
  return {
    title: 'Simulated, and how',
    items: [
      { label: 'why', value: simulatedBecause ?? '' },
      {
        label: 'plant',
        value: `one core with one queue, served in order of arrival; requests arrive when due; a change of frequency takes ${demoServer.transitionLatencyNs / NS_PER_MS} ms`,
      },
      {
        label: 'governor',
        value: `the loop of tailgov ${context.version}, policies ${baseline.policyFile} and ${governed.policyFile}; it ticks on time, and is woken by the alarms that the kernel would raise`,
      },
      { label: 'SLO', value: `p99 ≤ ${ms(context.sloMs)}` },
      { label: 'load', value: loadText(governed, context.seed) },
      {
        label: 'not modelled',
        value: 'the network, the scheduler, other processes, garbage collection, a client that is late',
      },
    ],
  };
}

function measuredFacts({ records, summaries, windowMs }: DemoResult, context: DemoReportContext): ReportFacts {
  const [baseline, governed] = records;
  const perRun = (value: (record: PhaseRecord, run: number) => string) =>
    records.map((record, run) => `${record.name}: ${value(record, run)}`).join('; ');
  const cpuNames = [...new Set(cpus().map(({ model }) => model))].join(', ');
  return {
    title: 'Measured, and with what',
    items: [
      {
        label: 'machine',
        value: `${cpus().length} CPUs (${cpuNames}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}, Node ${process.version}`,
      },
      {
        label: 'sensor',
        value: `eBPF, method ${governed.sensorMethod}; opened a second time by the demo, beside the daemon’s, and read every ${windowMs / 1000} s`,
      },
      {
        label: 'governor',
        value: `tailgov ${context.version}, frequency method ${governed.actuatorMethod}, policies ${baseline.policyFile} and ${governed.policyFile}`,
      },
      {
        label: 'priority',
        value: perRun(({ preferred }) =>
          preferred ? `server and client at niceness ${PREFERRED_NICENESS}` : 'like everything else, more was refused',
        ),
      },
      { label: 'SLO', value: `p99 ≤ ${ms(context.sloMs)}` },
      {
        label: 'server',
        value:
          'HTTP with keep-alive, one worker; a request’s work is real and takes its cycles ÷ the frequency that the mock shows while it is done',
      },
      {
        label: 'client',
        value: `an open loop: requests leave when due, each on a free connection (${perRun((_, run) => `${summaries[run]!.connections} open at the end`)})`,
      },
      {
        label: 'load',
        value: loadText(governed, context.seed),
      },
      {
        label: 'how late the client was (p50 / p99)',
        value: perRun((_, run) => `${ms(summaries[run]!.clientLate.p50Ms)} / ${ms(summaries[run]!.clientLate.p99Ms)}`),
      },
      {
        label: 'time in which the server was ready and had no CPU',
        value: perRun((_, run) => waitText(summaries[run]!.cpuWaitRatio)),
      },
      {
        label: 'controls as before when the daemon had ended',
        value: perRun(({ notRestored }) => (notRestored.length === 0 ? 'all' : `not ${notRestored.join(', ')}`)),
      },
    ],
  };
}

const MODELLED: ReportFacts = {
  title: 'Modelled, and how',
  items: [
    {
      label: 'silicon',
      value: `${DEMO_MOCK}: cpufreq files with the kernel’s semantics; the server is its CPU 0, everything else of it idles`,
    },
    {
      label: 'cost of a request',
      value: `log-normal, mean ${(MEAN_CYCLES / 1e6).toFixed(2)} million cycles (${(MEAN_CYCLES / FULL_SPEED_KHZ).toFixed(2)} ms at ${formatKhz(FULL_SPEED_KHZ)}), sigma ${CYCLES_SIGMA}; sockets and HTTP around it are real and counted with ${WORK_AROUND_MS} ms; capacity at full speed ${CAPACITY_RPS.toFixed(0)} requests/s`,
    },
    { label: 'power model', value: `${DEMO_POWER_MODEL.name}: ${describePowerModel(DEMO_POWER_MODEL)}` },
    { label: 'its source', value: DEMO_POWER_MODEL.source },
    { label: 'it leaves out', value: DEMO_POWER_MODEL.leavesOut },
  ],
};

function highestGhz(tick: TickReport): number | null {
  const known = tick.applied.frequencies.flatMap(({ appliedKhz }) => (appliedKhz === null ? [] : [appliedKhz]));
  return known.length === 0 ? null : Math.max(...known) / 1e6;
}

const waitText = (ratio: number | null) => (ratio === null ? 'not known' : formatPercent(ratio));
const perSecond = (count: number, windowMs: number) => (windowMs > 0 ? round(count / (windowMs / 1000)) : null);
const quantileMs = (histogram: Histogram, quantile: number) =>
  histogram.count === 0 ? null : round(histogram.quantileNs(quantile) / NS_PER_MS);
const round = (value: number) => Math.round(value * 1000) / 1000;
