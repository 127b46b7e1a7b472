import { describe, expect, test } from 'vitest';
import { liveLine, liveView, type LiveViewData } from '../../src/telemetry/live-view.ts';
import { tickReport } from '../demo/fixtures.ts';

const ticks = Array.from({ length: 50 }, (_, tick) =>
  tickReport({ tick, atMs: tick * 100, khz: tick < 25 ? 4_000_000 : 1_000_000, quantileMs: tick < 25 ? 2 : 4 }),
);
const data: LiveViewData = {
  heading: 'a view',
  ticks,
  spanMs: 5000,
  progress: { elapsedMs: 5000, totalMs: 10_000 },
  notes: ['a note'],
};
const plain = { columns: 80, color: false };
const row = (lines: readonly string[], label: string) => lines.find((line) => line.startsWith(`  ${label}`))!;

describe('liveView()', () => {
  test('shows load, latency against the SLO, wait, in flight, frequency, level and reason', () => {
    const lines = liveView(data, plain);
    expect(lines[0]).toBe(`a view  ${'█'.repeat(15)}${'░'.repeat(15)} 5 of 10 s`);
    expect(lines[2]).toBe('web  SLO p99 ≤ 5.00 ms: kept, 1 of 100 requests over in 60 s');
    expect(row(lines, 'load')).toContain('100 rps');
    expect(row(lines, 'p99')).toContain('4.00 ms (80 % of SLO)');
    expect(row(lines, 'socket wait')).toContain('250 µs mean');
    expect(row(lines, 'handling time')).toContain('900 µs mean');
    expect(row(lines, 'in flight')).toContain('3');
    expect(row(lines, 'frequency')).toContain('1.00 GHz');
    expect(row(lines, 'level')).toContain('0.50');
    expect(row(lines, 'reason')).toContain('pid: as told');
    expect(lines.at(-1)).toBe('a note');
  });

  test('shows the services that are asked for', () => {
    expect(liveView({ ...data, services: ['other'] }, plain).join('\n')).not.toContain('web');
    expect(liveView({ ...data, services: ['web'] }, plain)).toEqual(liveView(data, plain));
  });

  test('draws history with the present at the right', () => {
    const spark = row(liveView(data, plain), 'frequency').trim().split(/\s+/).at(-1)!;
    expect(spark).toMatch(/^█+▃+$/);
  });

  test('fits the width, whatever it is, with and without colour', () => {
    const escapes = new RegExp(`${'\u001b'}\\[[0-9;]*m`, 'g');
    for (const columns of [20, 60, 80, 200]) {
      for (const color of [false, true]) {
        const lines = liveView(data, { columns, color });
        expect(Math.max(...lines.map((line) => line.replace(escapes, '').length))).toBeLessThanOrEqual(columns);
      }
    }
  });

  test('uses no colour codes when colours are off', () => {
    expect(liveView(data, plain).join('')).not.toContain('\u001b');
    expect(liveView(data, { columns: 80, color: true }).join('')).toContain('\u001b[');
  });

  test('marks a p99 over the SLO', () => {
    const over = { ...data, ticks: [tickReport({ tick: 1, atMs: 0, quantileMs: 7 })] };
    expect(row(liveView(over, { columns: 80, color: true }), 'p99')).toContain('\u001b[31m7.00 ms (140 % of SLO)');
  });

  test('says none where nothing completed, and waits for a first tick', () => {
    const idle = { ...data, ticks: [tickReport({ tick: 1, atMs: 0, quantileMs: null })] };
    expect(row(liveView(idle, plain), 'p99').trim()).toBe('p99           none');
    expect(liveView({ ...data, ticks: [] }, plain)).toContain('waiting for the first tick');
  });

  test('shows faults and a pause', () => {
    const troubled = tickReport({ tick: 1, atMs: 0, faults: ['the sensor failed'], paused: true });
    const text = liveView({ ...data, ticks: [troubled] }, plain).join('\n');
    expect(text).toContain('fault: the sensor failed');
    expect(text).toContain('paused by an operator');
  });
});

test('liveLine() names the range where domains differ', () => {
  const tick = ticks[0]!;
  const [first] = tick.applied.frequencies;
  const slower = {
    ...first!,
    domain: 'policy1',
    appliedKhz: tickReport({ tick: 0, atMs: 0, khz: 800_000 }).applied.frequencies[0]!.appliedKhz,
  };
  const mixed = { ...tick, applied: { ...tick.applied, frequencies: [first!, slower] } };
  expect(liveLine(mixed.services[0]!, mixed)).toContain('800 MHz to 4.00 GHz');
});
