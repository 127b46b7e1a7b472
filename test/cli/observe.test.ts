import { describe, expect, it } from 'vitest';
import { jsonLines, tableLines } from '../../src/cli/observe-output.ts';
import { observeWindows } from '../../src/cli/observe-windows.ts';
import { observeCommand } from '../../src/cli/observe.ts';
import { systemClock } from '../../src/core/clock.ts';
import { UsageError } from '../../src/core/errors.ts';
import { Histogram } from '../../src/core/histogram.ts';
import type { Sensor, Snapshot } from '../../src/core/sensor.ts';
import { NS_PER_MS, NS_PER_S } from '../../src/core/units.ts';
import { snapshotOf } from '../loop/support.ts';

const busy = snapshotOf(1000, 0, {
  target: 'port:6379',
  windowNs: NS_PER_S,
  arrivals: 1003,
  overSlo: 7,
  abandoned: 2,
  inFlight: 1,
  oldestInFlightNs: 12 * NS_PER_MS,
  latency: Histogram.of(Array.from({ length: 1000 }, (_, index) => 100_000 + index * 100)),
  socketWait: Histogram.of(Array.from({ length: 1000 }, () => 20_000)),
  handlingTime: Histogram.of(Array.from({ length: 1000 }, () => 80_000)),
  cpuTimeNs: null,
  busiestThreadRatio: null,
});
const idle = snapshotOf(0, 0, {
  target: 'port:80',
  windowNs: NS_PER_S,
  cpuTimeNs: null,
  busiestThreadRatio: null,
});
const sensorOf = (read: () => readonly Snapshot[]): Sensor => ({
  method: 'simulated',
  unit: 'turn',
  read,
  close: () => undefined,
});

describe('observe refuses', () => {
  it.each([
    ['--port', '0'],
    ['--port', '65536'],
    ['--port', '1e3'],
    ['--port', 'redis'],
    ['--interval', '0s'],
    ['--interval', '5'],
    ['--duration', 'soon'],
  ])('%s %s', async (option, value) => {
    const args = ['node', 'tailgov', ...(option === '--port' ? [] : ['--port', '1']), option, value];
    await expect(observeCommand().parseAsync(args)).rejects.toThrow(UsageError);
  });
});

describe('observeWindows()', () => {
  it('reads a window an interval and the rest at the end, and sums them up', async () => {
    const windows: (readonly Snapshot[])[] = [];
    const total = await observeWindows({
      sensor: sensorOf(() => [busy, idle]),
      clock: systemClock,
      intervalMs: 20,
      durationMs: 50,
      stopped: new AbortController().signal,
      onWindow: (snapshots) => windows.push(snapshots),
    });
    expect(windows.length).toBe(3);
    expect(total.map(({ target, requests }) => [target, requests])).toEqual([
      ['port:6379', 3000],
      ['port:80', 0],
    ]);
    expect(total[0]!.latency.count).toBe(3000);
  });

  it('reads once more when it is stopped', async () => {
    const stop = new AbortController();
    let reads = 0;
    const total = await observeWindows({
      sensor: sensorOf(() => (++reads === 2 && stop.abort(), [busy])),
      clock: systemClock,
      intervalMs: 10,
      durationMs: Infinity,
      stopped: stop.signal,
      onWindow: () => undefined,
    });
    expect(reads).toBe(2);
    expect(total[0]!.requests).toBe(2000);
  });
});

describe('jsonLines()', () => {
  it('gives an object a target, and marks the summary', () => {
    const lines = jsonLines();
    const [first, second] = lines.window([busy, idle], 0).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(first).toMatchObject({
      at: '1970-01-01T00:00:00.000Z',
      target: 'port:6379',
      requests: 1000,
      oldestInFlightMs: 12,
    });
    expect(first).not.toHaveProperty('summary');
    expect(second).toMatchObject({ target: 'port:80', health: 'idle' });
    expect(JSON.parse(lines.summary([busy], 0)[0]!)).toMatchObject({ summary: true, requests: 1000 });
  });
});

describe('tableLines()', () => {
  it('aligns its columns, and shows no latency where nothing completed', () => {
    const [header, first, second] = tableLines(false).window([busy, idle], 0) as [string, string, string];
    expect(header).toMatch(
      /^time +target +requests\/s +p50 +p99 +p99\.9 +max +wait p99 +handling p99 +in flight +oldest$/,
    );
    expect(first.indexOf('1000') + '1000'.length).toBe(header.indexOf('requests/s') + 'requests/s'.length);
    expect(first).toContain('12.0 ms  abandoned 2');
    expect(second).toMatch(/port:80 +0( +-){6} +0 +- +idle$/);
  });

  it('repeats its header on a terminal, and not elsewhere', () => {
    const headersIn = (terminal: boolean) => {
      const table = tableLines(terminal);
      const lines = Array.from({ length: 100 }, () => table.window([busy], 0)).flat();
      return lines.filter((line) => line.startsWith('time')).length;
    };
    expect(headersIn(false)).toBe(1);
    expect(headersIn(true)).toBe(5);
  });

  it('ends with totals', () => {
    const lines = tableLines(false).summary([busy, idle], 0);
    expect(lines.at(-2)).toBe('port:6379: 1000 turns in 1.00 s, mean 150 µs, method simulated');
    expect(lines.at(-1)).toBe('port:80: 0 turns in 1.00 s, method simulated');
  });
});
