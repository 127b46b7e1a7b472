import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { knownWriters, OverrideBudget, runningCommands, suspectsAmong } from '../../src/actuator/foreign-writers.ts';
import type { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { ActuatorBench, CPU, CPUFREQ, memory, point, shows } from './actuator-bench.ts';

const MAX = `${CPUFREQ}/policy0/scaling_max_freq`;
const MIN = `${CPUFREQ}/policy0/scaling_min_freq`;
const GOVERNOR = `${CPUFREQ}/policy0/scaling_governor`;

let bench: ActuatorBench;
let tree: MemoryTree;
beforeEach(() => {
  bench = new ActuatorBench();
  tree = memory('acpi-cpufreq-qemu-2c');
});
afterEach(() => bench.remove());

const warnings = () => bench.log.filter((line) => line.startsWith('warn'));

describe('knownWriters()', () => {
  it('knows programs by the 15 characters that the kernel shows', () => {
    expect(
      knownWriters(['bash', 'tuned', 'power-profiles-', 'tlp', 'thermald', 'auto-cpufreq', 'tuned', 'constructor']),
    ).toEqual(['TLP', 'auto-cpufreq', 'power-profiles-daemon', 'thermald', 'tuned']);
    expect(suspectsAmong(['bash'])).toBe('none of the programs known to do so is running');
  });

  it('is fed with the names of real processes', () => {
    expect(runningCommands().length).toBeGreaterThan(0);
  });
});

describe('OverrideBudget', () => {
  it('allows so many a minute, and says when the next one comes', () => {
    const budget = new OverrideBudget({ overridesPerMinute: 2 }, bench.clock);
    expect([budget.spend(), budget.spend(), budget.spend()]).toEqual([true, true, false]);
    expect(budget.yieldUntilNs).toBe(60_000_000_000n);
    bench.nowMs = 60_000;
    expect([budget.spend(), budget.spend(), budget.spend()]).toEqual([true, true, false]);
  });

  it('allows none to who yields', () => {
    expect(new OverrideBudget('yield', bench.clock).spend()).toBe(false);
  });
});

describe('somebody else who writes a control', () => {
  const govern = (options = {}) => {
    const actuator = bench.actuator(tree, options);
    actuator.engage();
    const apply = (khz: number) => actuator.apply(point({ policy0: khz }));
    apply(2_000_000);
    return { actuator, apply };
  };

  it('is named, told of once, and overridden', () => {
    const { apply } = govern();
    bench.processes = ['tuned'];
    tree.write(MAX, '2800000');
    const applied = apply(2_000_000);
    expect(applied).toMatchObject({
      frequencies: [{ outcome: 'applied', appliedKhz: 2_000_000 }],
      disturbanceCounts: { 'foreign-writer': 1 },
    });
    expect(warnings()).toEqual([
      `warn: ${MAX}: somebody else writes it: wrote 2000000, reads 2800000; running: tuned; written again`,
    ]);
    tree.write(MAX, '2800000');
    expect(apply(2_000_000).disturbanceCounts).toMatchObject({ 'foreign-writer': 2 });
    expect(warnings()).toHaveLength(1);
    expect(apply(2_000_000).disturbances).toEqual([]);
  });

  it('is fought no more than so often a minute', () => {
    const { apply } = govern({ foreignWriter: { overridesPerMinute: 2 } });
    for (let round = 0; round < 2; round++) {
      tree.write(MAX, '1600000');
      expect(apply(2_000_000).frequencies).toMatchObject([{ outcome: 'applied' }]);
    }
    tree.write(MAX, '1600000');
    const yielded = apply(2_000_000);
    expect(yielded).toMatchObject({
      writes: 0,
      frequencies: [
        {
          outcome: 'yielded',
          appliedKhz: 1_600_000,
          detail: 'policy0: scaling_max_freq reads 1600000, wrote 2000000: left to whoever wrote it',
        },
      ],
    });
    bench.nowMs = 61_000;
    expect(apply(2_000_000).frequencies).toMatchObject([{ outcome: 'applied', appliedKhz: 2_000_000 }]);
  });

  it('is yielded to, until the control reads what we wrote', () => {
    const { apply } = govern({ foreignWriter: 'yield' });
    tree.write(MAX, '2800000');
    expect(apply(1_600_000).frequencies).toMatchObject([{ outcome: 'yielded', appliedKhz: 2_800_000 }]);
    expect(apply(1_200_000).frequencies).toMatchObject([{ outcome: 'yielded' }]);
    expect(shows(tree, 'scaling_max_freq')).toBe('2800000');
    tree.write(MAX, '2000000');
    expect(apply(1_200_000).frequencies).toMatchObject([{ outcome: 'applied', appliedKhz: 1_200_000 }]);
  });

  it('is yielded to for a long time, and then asked again', () => {
    const { apply } = govern({ foreignWriter: 'yield' });
    tree.write(MAX, '2800000');
    apply(2_000_000);
    bench.nowMs = 599_000;
    expect(apply(2_000_000).frequencies).toMatchObject([{ outcome: 'yielded' }]);
    bench.nowMs = 601_000;
    expect(apply(2_000_000).frequencies).toMatchObject([{ outcome: 'applied' }]);
  });

  it('takes the governor, and is not held slow by the cap that we had set', () => {
    const { apply } = govern({ foreignWriter: 'yield' });
    tree.write(GOVERNOR, 'schedutil');
    expect(apply(2_000_000).frequencies).toMatchObject([{ outcome: 'yielded' }]);
    expect([shows(tree, 'scaling_governor'), shows(tree, 'scaling_max_freq')]).toEqual(['schedutil', '3200000']);
  });

  it('takes one end of a pinned range, and has the other end out of the way', () => {
    const { apply } = govern({ foreignWriter: 'yield', method: 'pin' });
    tree.write(MIN, '1200000');
    expect(apply(2_000_000).frequencies).toMatchObject([{ outcome: 'yielded' }]);
    expect([shows(tree, 'scaling_min_freq'), shows(tree, 'scaling_max_freq')]).toEqual(['1200000', '3200000']);
  });

  it('takes the governor from setspeed, and has it overridden', () => {
    const { apply } = govern({ method: 'setspeed' });
    tree.write(GOVERNOR, 'powersave');
    expect(apply(2_000_000).frequencies).toMatchObject([{ outcome: 'applied', appliedKhz: 2_000_000 }]);
    expect(shows(tree, 'scaling_governor')).toBe('userspace');
  });

  it('does not disturb the policies beside it', () => {
    const { actuator } = govern({ foreignWriter: 'yield' });
    tree.write(MAX, '2800000');
    const asked = point({ policy0: 1_600_000, policy1: 1_600_000 });
    expect(actuator.apply(asked).frequencies).toMatchObject([{ outcome: 'yielded' }, { outcome: 'applied' }]);
  });

  it('has its setting replaced by the original at exit', () => {
    const { actuator, apply } = govern({ foreignWriter: 'yield' });
    tree.write(GOVERNOR, 'powersave');
    apply(2_000_000);
    actuator.release('original');
    expect(shows(tree, 'scaling_governor')).toBe('performance');
  });
});

describe('a limit', () => {
  const govern = (machine: string, domain = 'policy0') => {
    tree = memory(machine);
    const actuator = bench.actuator(tree, { foreignWriter: 'yield' });
    actuator.engage();
    return (khz: number) => actuator.apply(point({ [domain]: khz }));
  };

  it.each([
    [
      'the firmware’s',
      'acpi-cpufreq-qemu-2c',
      2_800_000,
      () => tree.set(`${CPUFREQ}/policy0/bios_limit`, '2000000'),
      'bios_limit',
    ],
    [
      'a switched-off turbo',
      'intel-pstate-passive-8c',
      4_000_000,
      () => tree.write(`${CPU}/intel_pstate/no_turbo`, '1'),
      'no_turbo',
    ],
    [
      'max_perf_pct',
      'intel-pstate-passive-8c',
      4_000_000,
      () => tree.write(`${CPU}/intel_pstate/max_perf_pct`, '50'),
      'max_perf_pct is 50',
    ],
  ] as const)('%s is no foreign writer, and is not fought', (_, machine, khz, impose, detail) => {
    const apply = govern(machine);
    apply(khz);
    impose();
    const limited = apply(khz);
    expect(limited).toMatchObject({ writes: 0, frequencies: [{ outcome: 'clamped' }] });
    expect(limited.disturbances).toContainEqual({
      kind: 'limit',
      control: MAX,
      detail: expect.stringContaining(detail) as string,
    });
    expect(limited.disturbanceCounts).toMatchObject({ 'foreign-writer': 0 });
    expect(apply(khz).disturbanceCounts).toEqual(limited.disturbanceCounts);
  });

  it('that active intel_pstate keeps to itself is seen, too', () => {
    const apply = govern('intel-pstate-2s-128c');
    tree.write(`${CPU}/intel_pstate/max_perf_pct`, '50');
    // A whole round, in which every policy is looked at once.
    const applied = Array.from({ length: 10 }, () => apply(2_000_000)).at(-1)!;
    expect(applied.frequencies).toMatchObject([
      { outcome: 'clamped', appliedKhz: 1_700_000, detail: 'max_perf_pct allows 1700000' },
    ]);
    expect(applied.disturbances).toMatchObject([
      { kind: 'limit', detail: 'reads 50: no CPU runs at more of its maximum' },
    ]);
    expect(apply(1_000_000).frequencies).toMatchObject([{ outcome: 'applied' }]);
    tree.write(`${CPU}/intel_pstate/max_perf_pct`, '100');
    const lifted = Array.from({ length: 10 }, () => apply(2_000_000)).at(-1)!;
    expect(lifted).toMatchObject({ frequencies: [{ appliedKhz: 2_000_000 }], disturbances: [] });
  });

  it('of a cooling device is told from a writer, and is over when it is lifted', () => {
    const apply = govern('arm-cpufreq-dt-3-policies-8c', 'policy4');
    apply(1_900_000);
    // What the kernel's cooling device does: a maximum of its own.
    tree.set('class/thermal/cooling_device1/cur_state', '2');
    tree.write(`${CPUFREQ}/policy4/scaling_max_freq`, '1100000');
    expect(apply(1_900_000).disturbances).toMatchObject([
      { kind: 'limit', detail: 'wrote 1900000, reads 1100000: cooling device cpufreq-cpu4 is at 2' },
    ]);
    tree.set('class/thermal/cooling_device1/cur_state', '0');
    tree.write(`${CPUFREQ}/policy4/scaling_max_freq`, '1900000');
    expect(apply(1_900_000)).toMatchObject({ frequencies: [{ outcome: 'unchanged' }], disturbances: [] });
  });

  it('of another policy’s cooling device explains nothing', () => {
    const apply = govern('arm-cpufreq-dt-3-policies-8c', 'policy4');
    apply(1_900_000);
    tree.set('class/thermal/cooling_device0/cur_state', '2');
    tree.write(`${CPUFREQ}/policy4/scaling_max_freq`, '1100000');
    expect(apply(1_900_000).disturbances).toMatchObject([{ kind: 'foreign-writer' }]);
  });

  it('explains no less than it allows', () => {
    const apply = govern('acpi-cpufreq-qemu-2c');
    apply(2_800_000);
    tree.set(`${CPUFREQ}/policy0/bios_limit`, '2400000');
    tree.write(MAX, '1600000');
    expect(apply(2_800_000).disturbances).toMatchObject([{ kind: 'foreign-writer' }]);
  });

  it('shows in the counters of throttling', () => {
    const count = `${CPU}/cpu0/thermal_throttle/core_throttle_count`;
    tree = memory('acpi-cpufreq-qemu-2c');
    tree.set(count, '7');
    const actuator = bench.actuator(tree);
    actuator.engage();
    actuator.apply(point({ policy0: 2_800_000 }));
    tree.set(count, '9');
    tree.write(MAX, '1600000');
    expect(actuator.apply(point({ policy0: 2_800_000 })).disturbances).toMatchObject([
      { kind: 'limit', control: `${CPUFREQ}/policy0/scaling_cur_freq` },
      { kind: 'limit', detail: 'wrote 2800000, reads 1600000: CPU 0 was throttled by heat (core_throttle_count +2)' },
    ]);
  });
});
