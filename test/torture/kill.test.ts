import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { restoreFromJournal } from '../../src/actuator/restore.ts';
import { ActuatorBench, CPU } from '../actuator/actuator-bench.ts';
import { controlsOf, GOVERNED_MACHINES, lifeOf, operatedMachine, type GovernedMachine } from './governed-machines.ts';
import { mortalTree, survives } from './mortal-tree.ts';
import { figure, SHARE } from './tries.ts';

/** In everyday tests every so many writes; all of them under `npm run torture`. */
const STRIDE = SHARE > 0 ? 1 : 53;

type WayBack = 'restore' | 'a restore that is killed at its first write, its second …' | 'next start';
const WAYS_BACK: readonly WayBack[] = [
  'restore',
  'a restore that is killed at its first write, its second …',
  'next start',
];

/** @returns whether it lived to its end */
function dieAndComeBack({ name, method, boost }: GovernedMachine, k: number, taken: boolean, way: WayBack): boolean {
  const base = operatedMachine(name);
  const before = controlsOf(base);
  const bench = new ActuatorBench();
  try {
    const { tree } = mortalTree(base, k, taken);
    const lived = survives(() => lifeOf(bench.actuator(tree, { method, boost }), bench, base));
    base.write(`${CPU}/cpu1/online`, '1');
    const { journalPath } = bench;
    if (way === 'next start') {
      const next = bench.actuator(base, { method, boost });
      next.engage();
      next.release('original');
    } else {
      for (let at = 1; way !== 'restore'; at++) {
        const mortal = mortalTree(base, at, taken).tree;
        if (survives(() => void restoreFromJournal({ journalPath, tree: mortal }))) break;
      }
      restoreFromJournal({ journalPath, tree: base });
    }
    expect(controlsOf(base), `${name} ${method}, killed at write ${k}, taken: ${taken}; ${way}`).toEqual(before);
    expect(existsSync(journalPath)).toBe(false);
    return lived;
  } finally {
    bench.remove();
  }
}

describe('a process that is killed at a write', () => {
  it.each(WAYS_BACK)('has every control put back by %s, whichever write it was', { timeout: 600_000 }, (way) => {
    let deaths = 0;
    for (const machine of GOVERNED_MACHINES) {
      for (const taken of [false, true]) {
        for (let k = 1; !dieAndComeBack(machine, k, taken, way); k += STRIDE) deaths += 1;
      }
    }
    expect(deaths).toBeGreaterThan(GOVERNED_MACHINES.length);
    figure('killed at every write, in memory', { way, deaths, machines: GOVERNED_MACHINES.length });
  });
});
