import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPlanner } from '../../src/compose/create-planner.ts';
import type { Controller, ControllerInput } from '../../src/core/controller.ts';
import { kiloHertz, NS_PER_MS } from '../../src/core/units.ts';
import { GovernorLoop } from '../../src/loop/governor-loop.ts';
import type { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { SLO, snapshotOf } from '../loop/support.ts';
import { ActuatorBench, CPU, CPUFREQ, memory, point } from './actuator-bench.ts';

const MAX_KHZ = 3_600_000;
/** The threads of the first core, which are one frequency domain. */
const THREADS = [0, 4];
const currentFreq = (cpu: number) => `${CPUFREQ}/policy${cpu}/scaling_cur_freq`;

let bench: ActuatorBench;
let tree: MemoryTree;
/** What the driver shows in place of the mock's speed, which is the one that was asked for: heat does not ask. */
let runsAtKhz: number | null;

beforeEach(() => {
  bench = new ActuatorBench();
  tree = memory('intel-pstate-rapl-2s-8c');
  runsAtKhz = null;
  const read = tree.read.bind(tree);
  tree.read = (path) =>
    runsAtKhz !== null && THREADS.map(currentFreq).includes(path) ? { ok: true, value: String(runsAtKhz) } : read(path);
});
afterEach(() => bench.remove());

function overheat(count: number, kind = 'core'): void {
  for (const cpu of THREADS) tree.set(`${CPU}/cpu${cpu}/thermal_throttle/${kind}_throttle_count`, String(count));
}

function govern() {
  const actuator = bench.actuator(tree);
  actuator.engage();
  return { actuator, apply: (khz = MAX_KHZ) => applyTo(actuator, khz) };
}

function applyTo(actuator: ReturnType<ActuatorBench['actuator']>, khz: number) {
  bench.nowMs += 100;
  const applied = actuator.apply(point(Object.fromEntries(actuator.machine.domains.map(({ id }) => [id, khz]))));
  return { ...applied, first: applied.frequencies.find(({ domain }) => domain === 'policy0')! };
}

describe('a CPU that is throttled by heat', () => {
  it('is a limit, though no cpufreq limit shows it, and counts for the speed that it really has', () => {
    const { apply } = govern();
    expect(apply()).toMatchObject({ disturbances: [], first: { appliedKhz: MAX_KHZ, outcome: 'unchanged' } });
    overheat(2);
    runsAtKhz = 1_200_000;
    const { first, disturbances, disturbanceCounts, frequencies } = apply();
    expect(first).toMatchObject({ appliedKhz: 1_200_000, outcome: 'clamped' });
    expect(first.detail).toContain(
      'policy0: CPU 0 was throttled by heat (core_throttle_count +2): runs at 1200000 instead of 3600000',
    );
    expect(disturbances!.map(({ kind, control }) => [kind, control])).toEqual(
      THREADS.map((cpu) => ['limit', currentFreq(cpu)]),
    );
    expect(disturbanceCounts!.limit).toBe(2);
    expect(frequencies.filter(({ outcome }) => outcome === 'clamped')).toHaveLength(1);
  });

  it('stays one for five seconds after its counters have risen, and is written as before meanwhile', () => {
    const { apply } = govern();
    apply();
    overheat(1, 'package');
    runsAtKhz = 1_200_000;
    apply();
    expect(apply(2_000_000).first).toMatchObject({ askedKhz: 2_000_000, appliedKhz: 1_200_000 });
    expect(tree.read(`${CPUFREQ}/policy0/scaling_max_freq`)).toMatchObject({ value: '2000000' });
    bench.nowMs += 4000;
    expect(apply().disturbances).toHaveLength(2);
    bench.nowMs += 1000;
    expect(apply()).toMatchObject({ disturbances: [], first: { appliedKhz: MAX_KHZ } });
  });

  it('that runs as fast as it was asked to is reported, and not held for slower', () => {
    const { apply } = govern();
    apply();
    overheat(1);
    expect(apply(2_000_000)).toMatchObject({ first: { appliedKhz: 2_000_000 }, disturbances: { length: 2 } });
  });

  it('is not presumed of one that is slow without a rise of its counters: idle CPUs look so', () => {
    const { apply } = govern();
    overheat(7);
    apply();
    runsAtKhz = 800_000;
    bench.nowMs += 10_000;
    expect(apply()).toMatchObject({ disturbances: [], first: { appliedKhz: MAX_KHZ } });
  });

  it('is looked for where there are counters alone', () => {
    tree = memory('acpi-cpufreq-qemu-2c');
    const actuator = bench.actuator(tree);
    actuator.engage();
    const paths: string[] = [];
    const read = tree.read.bind(tree);
    tree.read = (path) => {
      paths.push(path);
      return read(path);
    };
    applyTo(actuator, 2_000_000);
    expect(paths.filter((path) => path.includes('thermal'))).toEqual([]);
  });

  it('winds no controller up: it is shown the level that the machine really gives', () => {
    const inputs: ControllerInput[] = [];
    const greedy: Controller = {
      name: 'greedy',
      initial: () => null,
      step(input) {
        inputs.push(input);
        return { level: 1, state: null, reason: 'more' };
      },
    };
    const actuator = bench.actuator(tree);
    const planner = createPlanner(actuator.machine, { strategy: 'frequency', limits: {}, services: [], power: null });
    const sensor = {
      method: 'simulated',
      unit: 'turn',
      read: () => [snapshotOf(100, NS_PER_MS, { target: 'web' })],
      close: () => undefined,
    } as const;
    const law = { controller: greedy, limits: { min: 0, max: 1 }, intervalMs: 100 };
    const loop = new GovernorLoop({
      services: [{ name: 'web', slo: SLO, ...law }],
      sensor,
      planner,
      actuator,
      clock: bench.clock,
      mode: 'govern',
    });
    loop.engage();
    const tick = () => {
      bench.nowMs += 100;
      return loop.tick(bench.clock.monotonicNs()).services[0]!.appliedLevel;
    };
    expect(tick()).toBe(1);
    // All cores of the machine, so that the level is theirs alone.
    for (let cpu = 0; cpu < 8; cpu++) tree.set(`${CPU}/cpu${cpu}/thermal_throttle/package_throttle_count`, '1');
    const read = tree.read.bind(tree);
    tree.read = (path) =>
      path.endsWith('/scaling_cur_freq') ? { ok: true, value: String(kiloHertz(1_800_000)) } : read(path);
    expect(tick()).toBeCloseTo(0.5, 9);
    tick();
    expect(inputs.at(-1)!.appliedLevel).toBeCloseTo(0.5, 9);
    bench.nowMs += 5000;
    expect(tick()).toBe(1);
  });
});
