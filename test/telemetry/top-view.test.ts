import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cpuId } from '../../src/core/units.ts';
import type { DaemonStatus } from '../../src/telemetry/daemon-status.ts';
import { keysIn, pressTopKey, topLines, type TopState, topView } from '../../src/telemetry/top-view.ts';
import { tickReport } from '../demo/fixtures.ts';
import { STATUS } from './metrics-support.ts';

const ESCAPES = new RegExp(`${'\u001b'}\\[[0-9;]*m`, 'g');
const tick = tickReport({ tick: 7, atMs: 700, khz: 2_000_000 });
const [web] = tick.services;
const two = { ...tick, services: [web!, { ...web!, service: 'cache', appliedLevel: 0.25 }] };
const governing: DaemonStatus = {
  ...STATUS,
  ticks: { count: 8, missed: 1, faults: 0 },
  power: { watts: 12.34, source: 'modelled', model: 'a CPU' },
  last: two,
};
const state: TopState = { status: governing, ticks: [two], selected: 0, trouble: null };
const plain = { columns: 80, color: false };

describe('topView()', () => {
  test('shows each service in a line, the chosen one whole, and what the machine does', () => {
    const text = topView(state, plain).join('\n');
    expect(text).toContain('tailgov 1.2.3: governing, 8 ticks, 1 missed');
    expect(text).toMatch(/▸ web +100 rps +2\.00 ms +4\.00 ms +p99 5\.00 ms +kept +3 +0\.50/);
    expect(text).toMatch(/ {2}cache +100 rps .* 0\.25/);
    expect(text).toContain('web  SLO p99');
    expect(text).not.toContain('cache  SLO p99');
    expect(text).toContain('clocks        cpu 0-1 at 2.00 GHz');
    expect(text).toContain('cores         all of 2 cpus');
    expect(text).toContain('power         12.3 W modelled (a CPU)');
  });

  test('shows the service that was chosen', () => {
    const text = topView({ ...state, selected: 1 }, plain).join('\n');
    expect(text).toContain('▸ cache');
    expect(text).toContain('cache  SLO p99');
  });

  test('fits a terminal of 80 columns and 24 lines with two services', () => {
    const lines = topView(state, { columns: 80, color: true });
    expect(Math.max(...lines.map((line) => line.replace(ESCAPES, '').length))).toBeLessThanOrEqual(80);
    expect(lines.length).toBeLessThan(24);
  });

  test('uses no colour where it is told so', () => {
    expect(topView({ ...state, trouble: 'gone' }, plain).join('')).not.toContain('\u001b');
  });

  test('names the CPUs that a service has been given', () => {
    const point = { ...two.applied.point, cpus: { web: [cpuId(1)] } };
    const given = { ...two, applied: { ...two.applied, point } };
    const text = topView({ ...state, status: { ...governing, last: given }, ticks: [given] }, plain).join('\n');
    expect(text).toContain('cores         1 of 2 cpus (1)');
  });

  test('keeps what was seen last on the screen when the daemon has gone, and says so', () => {
    const text = topView({ ...state, trouble: 'no daemon listens' }, plain).join('\n');
    expect(text).toContain('no daemon listens');
    expect(text).toContain('web  SLO p99');
  });

  test('waits for the first tick', () => {
    const starting = { ...STATUS, state: 'starting' as const };
    expect(topView({ ...state, status: starting, ticks: [] }, plain).join('\n')).toContain(
      'waiting for the first tick',
    );
    expect(topView({ ...state, status: null, ticks: [] }, plain).join('\n')).toContain('q quit');
  });
});

describe('keysIn()', () => {
  test.each([
    ['p', ['p']],
    ['\u001b[B\u001b[Bj', ['\u001b[B', '\u001b[B', 'j']],
    ['\u001bOAq', ['\u001bOA', 'q']],
    // A function key, Alt with a letter, the escape key alone: none of them is made of keys that mean something.
    ['\u001b[15~\u001bp\u001b', ['\u001b[15~', '\u001bp', '\u001b']],
    ['', []],
  ])('finds the keys in %j', (sent, keys) => {
    expect(keysIn(sent)).toEqual(keys);
  });
});

describe('pressTopKey()', () => {
  test('chooses services round and round, and by their number', () => {
    const down = pressTopKey(state, '\u001b[B').state;
    expect(down.selected).toBe(1);
    expect(pressTopKey(down, '\u001b[B').state.selected).toBe(0);
    expect(pressTopKey(state, '\u001b[A').state.selected).toBe(1);
    expect(pressTopKey(state, '2').state.selected).toBe(1);
    expect(pressTopKey(state, '3').state.selected).toBe(0);
  });

  test('asks for a pause, for its end where it is paused, and for the end', () => {
    expect(pressTopKey(state, 'p').action).toBe('pause');
    expect(pressTopKey({ ...state, status: { ...governing, state: 'paused' } }, 'p').action).toBe('resume');
    for (const key of ['q', '\u0003', '\u0004']) expect(pressTopKey(state, key).action).toBe('quit');
  });

  test('leaves the state as it is for any other key, and never chooses a service that is not there', () => {
    expect(pressTopKey(state, 'x')).toEqual({ state });
    expect(pressTopKey({ ...state, status: null }, '\u001b[B').state.selected).toBe(0);
    fc.assert(
      fc.property(fc.array(fc.constantFrom('j', 'k', '1', '2', '9', '\t', 'p', 'ä')), (keys) => {
        const { selected } = keys.reduce((before, key) => pressTopKey(before, key).state, state);
        expect([0, 1]).toContain(selected);
      }),
    );
  });
});

describe('topLines()', () => {
  test('is one line a service', () => {
    expect(topLines(governing)).toEqual([
      expect.stringMatching(/^web, 100 rps, .*, all of 2 cpus, 12\.3 W modelled \(a CPU\)$/),
      expect.stringMatching(/^cache, 100 rps, /),
    ]);
  });

  test('says that governing is paused, and that there is no tick yet', () => {
    expect(topLines({ ...governing, state: 'paused' })[0]).toMatch(/^paused: web/);
    expect(topLines(STATUS)).toEqual(['governing: no tick yet']);
  });
});
