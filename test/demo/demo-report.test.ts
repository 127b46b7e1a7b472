import { expect, test } from 'vitest';
import { corei7_1165g7 } from '../../src/core/power-model.ts';
import { demoReport } from '../../src/demo/demo-report.ts';
import { summarizePhase } from '../../src/demo/summarize-phase.ts';
import { buildReport } from '../../src/study/report/build-report.ts';
import { phaseRecord, phaseSummary } from './fixtures.ts';

const records = [phaseRecord({ name: 'performance' }), phaseRecord()] as const;
const summaries = [
  summarizePhase(records[0], 20, corei7_1165g7),
  summarizePhase(records[1], 20, corei7_1165g7),
] as const;
const report = demoReport(
  { records, summaries, windowMs: 1000, simulatedBecause: null, directory: null },
  { version: '1.2.3', seed: 7, sloMs: 20, finishedAt: new Date(0) },
);

test('demoReport() has a series of each run in every chart, aligned and ascending', () => {
  for (const chart of report.charts) {
    expect(new Set(chart.series.map(({ run }) => run)), chart.title).toEqual(new Set([0, 1]));
    for (const { x, y } of chart.series) {
      expect(x).toHaveLength(y.length);
      expect(x.every((value, index) => index === 0 || value > x[index - 1]!)).toBe(true);
      if (chart.xScale === 'log') expect(x.every((value) => value > 0)).toBe(true);
      if (chart.yScale === 'log') expect(y.every((value) => value !== null && value > 0)).toBe(true);
    }
  }
});

test('demoReport() tells the decisions with their reasons, and the set-up', () => {
  expect(report.details.map(({ rows }) => rows)).toEqual([
    [['1.0 s', '2.00 GHz', '0.430', 'p99 <low>: down']],
    [['1.0 s', '2.00 GHz', '0.430', 'p99 <low>: down']],
  ]);
  const facts = JSON.stringify(report.facts);
  for (const part of ['seed 7', 'tracepoint', 'cap', 'Assumed', 'TDP', 'Poisson']) expect(facts).toContain(part);
});

test('demoReport() becomes a page that escapes what the daemon said', () => {
  const page = buildReport(report);
  expect(page).toContain('p99 &lt;low&gt;: down');
  expect(page).not.toContain('p99 <low>');
});

test('demoReport() of a demo on the plant says so and why, and shows nothing of a client', () => {
  const plantRecords = [
    phaseRecord({ sensorMethod: 'simulated' }),
    phaseRecord({ sensorMethod: 'simulated' }),
  ] as const;
  const plantSummaries = [phaseSummary({ simulated: true }), phaseSummary({ simulated: true })] as const;
  const page = demoReport(
    {
      records: plantRecords,
      summaries: plantSummaries,
      windowMs: 1000,
      simulatedBecause: 'not permitted',
      directory: null,
    },
    { version: '1', seed: 1, sloMs: 20, finishedAt: new Date(0) },
  );
  expect(page.title).toContain('simulated');
  expect(page.introduction[0]).toContain('Why: not permitted.');
  const shown = JSON.stringify([
    page.table.rows,
    page.keyFigures,
    page.charts.map(({ series }) => series),
    page.verdict,
  ]);
  expect(shown).not.toMatch(/"[^"]*client, |by the client|kernel sensor/);
  expect(shown).toContain('p99, simulated');
});
