/** A daemon's loop on a machine in memory for many ticks, as fast as it can: `soak.ts TICKS`. Prints a Soak. Needs --expose-gc. */
import { readdirSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { NS_PER_MS } from '../../src/core/units.ts';
import { ActuatorBench, CPU } from '../actuator/actuator-bench.ts';
import { governedLoop, serviceOf } from './governed-loop.ts';
import { controlsOf } from './governed-machines.ts';
import { random, SEED } from './tries.ts';

export interface Soak {
  readonly ticks: number;
  /** From the second tenth of the ticks to the last. */
  readonly heapGrownKb: number;
  readonly descriptorsGrown: number;
  readonly faults: number;
  /** Every control has its original effect in the end. */
  readonly restored: boolean;
  readonly seconds: number;
}

/** The shortest interval that a policy may have. */
const SHORTEST_MS = 10;

const collect = globalThis.gc;
if (collect === undefined) throw new Error('no gc(), expected --expose-gc');
const ticks = Number(process.argv[2]);
const bench = new ActuatorBench();
const { loop, tick, load, tree, before, sensor, planner } = governedLoop(bench, 'pid', SHORTEST_MS);
const dice = random(SEED);
const services = ['pid', 'threshold', 'utilization', 'model', 'expression'].map((name) => serviceOf(name, SHORTEST_MS));
const descriptors = () => readdirSync('/proc/self/fd').length;
const heapKb: number[] = [];
const opened = descriptors();
const began = performance.now();
let faults = 0;
for (let at = 0; at < ticks; at++) {
  if (at % 200 === 0) load(Math.exp(dice() * 5) * 0.2 * NS_PER_MS);
  if (at % 500 === 0) loop.change({ services: [services[(at / 500) % services.length]!], sensor, planner });
  if (at % 700 === 0) tree.write(`${CPU}/cpu1/online`, at % 1400 === 0 ? '0' : '1');
  faults += tick().faults.length;
  if (at % Math.ceil(ticks / 10) !== 0) continue;
  // Once more for what the first has let go of.
  for (let round = 0; round < 2; round++) collect();
  heapKb.push(process.memoryUsage().heapUsed / 1024);
}
tree.write(`${CPU}/cpu1/online`, '1');
loop.release('original');
const soak: Soak = {
  ticks,
  heapGrownKb: Math.round(heapKb.at(-1)! - heapKb[2]!),
  descriptorsGrown: descriptors() - opened,
  faults,
  restored: isDeepStrictEqual(controlsOf(tree), before),
  seconds: Math.round((performance.now() - began) / 1000),
};
bench.remove();
process.stdout.write(`${JSON.stringify(soak)}\n`);
