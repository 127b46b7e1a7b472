import { expect, test } from 'vitest';
import { demoLine, demoView } from '../../src/demo/demo-view.ts';
import type { DemoProgress } from '../../src/demo/run-demo.ts';
import { phaseRecord } from './fixtures.ts';

const record = phaseRecord();
const progress: DemoProgress = {
  name: 'pid',
  startMs: record.startMs,
  elapsedMs: 2000,
  ticks: record.ticks,
  spans: record.spans,
  simulated: false,
  phase: 1,
  phaseMs: 2000,
  baseline: phaseRecord({
    name: 'performance',
    spans: [{ fromMs: 9000, toMs: 13_000, frequencyKhz: 4_700_000, busyMs: 2000 }],
  }),
};

test('demoView() labels power and energy as modelled and compares with the baseline', () => {
  const lines = demoView(progress, { columns: 100, color: false });
  expect(lines[0]).toMatch(/^tailgov demo 2\/2: pid .*2 of 2 s$/);
  expect(lines.join('\n')).toMatch(/power +\d+\.\d\d W modelled/);
  expect(lines.join('\n')).toMatch(/energy +\d+\.\d J modelled, \d+\.\d % less than performance by now/);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
});

test('demoView() stands without ticks or spans', () => {
  const lines = demoView({ ...progress, ticks: [], spans: [], baseline: null }, { columns: 80, color: false });
  expect(lines).toContain('waiting for the first tick');
});

test('demoLine() is one line with everything that matters', () => {
  const line = demoLine(progress);
  expect(line).not.toContain('\n');
  for (const part of ['pid 2/2 s', '100 rps', 'p99 4.00 ms', 'SLO 5.00 ms', '2.00 GHz', 'level 0.43', 'modelled']) {
    expect(line).toContain(part);
  }
});
