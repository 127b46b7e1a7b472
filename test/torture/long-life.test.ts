import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NS_PER_MS } from '../../src/core/units.ts';
import { ActuatorBench } from '../actuator/actuator-bench.ts';
import { controlsOf } from './governed-machines.ts';
import { governedLoop } from './governed-loop.ts';
import type { Soak } from './soak.ts';
import { figure, tries } from './tries.ts';

/** 50,000 ticks left 0 KB, give or take 200. */
const MOST_GROWTH_KB = 4_096;
const DAY_MS = 86_400_000;

let bench: ActuatorBench;
beforeEach(() => {
  bench = new ActuatorBench();
});
afterEach(() => bench.remove());

describe('clocks', () => {
  it.each([DAY_MS, -DAY_MS, 3_600_000, -3_600_000])('set by %i ms change no tick and no decision', (jumpMs) => {
    const levels = [0, jumpMs].map((jump) => {
      const { tick, time, load, loop } = governedLoop(bench, 'pid');
      const seen = Array.from({ length: 300 }, (_, at) => {
        if (at === 150) time.wallMs += jump;
        load(at % 50 < 25 ? NS_PER_MS : 6 * NS_PER_MS);
        return tick().services[0]!.decision.level;
      });
      loop.release('original');
      return seen;
    });
    expect(levels[1]).toEqual(levels[0]);
  });

  it('that stood still for a night let the loop go on from there, with one tick', () => {
    const { tick, loop, tree, before } = governedLoop(bench, 'pid');
    for (let at = 0; at < 50; at++) tick();
    const report = tick(8 * 3_600_000);
    expect(report.tick).toBe(50);
    expect(report.faults).toEqual([]);
    for (const level of [report, tick()].map(({ services }) => services[0]!.appliedLevel)) {
      expect(level).toBeGreaterThan(0);
      expect(level).toBeLessThanOrEqual(1);
    }
    loop.release('original');
    expect(controlsOf(tree)).toEqual(before);
  });
});

describe('a long life', () => {
  // In a process of its own: the heap of a test runner grows by itself.
  it(
    'of ticks, swaps, hotplug and changing load leaves no memory and no descriptor behind',
    { timeout: 3_600_000 },
    () => {
      const ticks = tries(10_000, 1_000_000);
      const program = join(import.meta.dirname, 'soak.ts');
      const ran = spawnSync(process.execPath, ['--expose-gc', '--import', 'tsx', program, String(ticks)], {
        encoding: 'utf8',
      });
      expect(ran.status, ran.stderr).toBe(0);
      const seen = JSON.parse(ran.stdout) as Soak;
      expect(seen).toMatchObject({ ticks, faults: 0, descriptorsGrown: 0, restored: true });
      expect(seen.heapGrownKb).toBeLessThan(MOST_GROWTH_KB);
      figure('a long life', { ...seen, restored: String(seen.restored) });
    },
  );
});
