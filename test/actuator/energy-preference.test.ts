import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { preferenceFor, preferenceKhz, preferencesAmong } from '../../src/actuator/energy-preference.ts';
import { kiloHertz } from '../../src/core/units.ts';
import { createFrequencyPlanner } from '../../src/planner/frequency-planner.ts';
import type { SysfsTree } from '../../src/core/sysfs-tree.ts';
import type { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { ActuatorBench, CPUFREQ, memory, point, shows, stateOf } from './actuator-bench.ts';

const NAMES = ['power', 'balance_power', 'balance_performance', 'performance'];
const PREFERENCE = 'energy_performance_preference';
const MACHINES = ['intel-pstate-i7-1165g7-8c', 'intel-pstate-2s-128c', 'amd-pstate-active-16c'] as const;

const path = (file: string, policy = 'policy0') => `${CPUFREQ}/${policy}/${file}`;

describe('preferences', () => {
  it('are taken in their order, and those whose place the firmware knows are not taken', () => {
    const offered = ['default', 'performance', 'balance_performance', 'balance_power', 'power'];
    expect(preferencesAmong(offered, 'intel_pstate', 'powersave')).toEqual(NAMES);
    expect(preferencesAmong(['power', 'performance'], 'intel_pstate', 'powersave')).toEqual(['power', 'performance']);
    expect(preferencesAmong([], 'intel_pstate', 'powersave')).toEqual([]);
  });

  it('of amd-pstate are known where governor performance shows one alone', () => {
    expect(preferencesAmong(['performance'], 'amd-pstate-epp', 'performance')).toEqual(NAMES);
    expect(preferencesAmong([], 'amd-pstate-epp', 'performance')).toEqual([]);
  });

  it('rise with the frequency, and never count for less than was asked', () => {
    const khz = fc.integer({ min: 400_000, max: 6_000_000 });
    const property = fc.property(
      khz,
      khz,
      khz,
      khz,
      fc.subarray(NAMES, { minLength: 2 }),
      (a, b, c, d, preferences) => {
        const [allowedMinKhz, allowedMaxKhz] = [kiloHertz(Math.min(a, b)), kiloHertz(Math.max(a, b))];
        const range = { preferences, allowedMinKhz, allowedMaxKhz };
        const [low, high] = [Math.min(c, d), Math.max(c, d)].map((asked) => preferenceFor(range, kiloHertz(asked)));
        expect(preferences.indexOf(low!)).toBeLessThanOrEqual(preferences.indexOf(high!));
        expect(preferenceKhz(range, high!)).toBeGreaterThanOrEqual(Math.min(allowedMaxKhz, Math.max(c, d)));
        expect(preferenceFor(range, allowedMaxKhz)).toBe(preferences.at(-1));
      },
    );
    fc.assert(property, { numRuns: 300 });
  });
});

describe('the method epp', () => {
  let bench: ActuatorBench;
  beforeEach(() => (bench = new ActuatorBench()));
  afterEach(() => bench.remove());

  const governing = (tree: MemoryTree, options: Parameters<ActuatorBench['actuator']>[1] = {}) => {
    const actuator = bench.actuator(tree, { method: 'epp', ...options });
    actuator.engage();
    return actuator;
  };

  it.each(MACHINES)('makes a preference of each level on %s, leaves the range alone, and gives back', (machine) => {
    const tree = memory(machine);
    tree.write(path(PREFERENCE), 'balance_power');
    const before = stateOf(tree);
    const range = [shows(tree, 'scaling_min_freq'), shows(tree, 'scaling_max_freq')];
    const actuator = governing(tree);
    const planner = createFrequencyPlanner(actuator.machine, {});
    expect(shows(tree, PREFERENCE)).toBe('performance');
    for (const [level, name] of [
      [0, 'power'],
      [0.3, 'balance_power'],
      [0.6, 'balance_performance'],
      [1, 'performance'],
    ] as const) {
      const { point: planned, levels } = planner.plan([{ service: 'web', level }]);
      const { frequencies, disturbances } = actuator.apply(planned);
      expect([level, shows(tree, PREFERENCE)]).toEqual([level, name]);
      expect(levels['web']).toBeGreaterThanOrEqual(level);
      expect(planner.levelOf(planned, 'web')).toBe(levels['web']);
      for (const { appliedKhz, askedKhz, outcome } of frequencies) {
        expect(appliedKhz).toBe(askedKhz);
        expect(['applied', 'unchanged']).toContain(outcome);
      }
      expect(disturbances).toEqual([]);
      expect(actuator.apply(planned).writes).toBe(0);
    }
    expect([shows(tree, 'scaling_min_freq'), shows(tree, 'scaling_max_freq')]).toEqual(range);
    actuator.release('original');
    expect(stateOf(tree)).toEqual(before);
  });

  it('is refused where the driver has no such thing', () => {
    expect(() => bench.actuator(memory('acpi-cpufreq-qemu-2c'), { method: 'epp' })).toThrow(
      'epp: acpi-cpufreq does not choose speeds by an energy preference',
    );
  });

  it('goes back to powersave first where somebody else took governor performance, under which a preference is EBUSY', () => {
    const tree = memory('intel-pstate-i7-1165g7-8c');
    const before = stateOf(tree);
    const actuator = governing(tree);
    const low = point({ policy0: actuator.machine.domains[0]!.allowedMinKhz });
    actuator.apply(low);
    actuator.apply(low);
    tree.write(path('scaling_governor'), 'performance');
    expect(tree.write(path(PREFERENCE), 'power')).toMatchObject({ errno: 'EBUSY' });
    expect(actuator.apply(low).disturbanceCounts).toMatchObject({ 'foreign-writer': 1, failure: 0 });
    expect(bench.log.join()).toMatch(/scaling_governor: somebody else writes it: wrote powersave, reads performance/);
    expect([shows(tree, 'scaling_governor'), shows(tree, PREFERENCE)]).toEqual(['powersave', 'power']);
    actuator.release('original');
    expect(stateOf(tree)).toEqual(before);
  });

  it('leaves the policy to whoever set governor performance, where it is to yield', () => {
    const tree = memory('amd-pstate-active-16c');
    const actuator = governing(tree, { foreignWriter: 'yield' });
    const low = point({ policy0: actuator.machine.domains[0]!.allowedMinKhz });
    actuator.apply(low);
    actuator.apply(low);
    tree.write(path('scaling_governor'), 'performance');
    expect(actuator.apply(low).frequencies).toMatchObject([{ outcome: 'yielded' }]);
    expect(shows(tree, PREFERENCE)).toBe('performance');
    actuator.release('original');
    expect([shows(tree, 'scaling_governor'), shows(tree, PREFERENCE)]).toEqual(['powersave', 'balance_performance']);
  });

  it.each(['EBUSY', 'EINVAL', 'EIO'] as const)('says that the kernel refuses it (%s), and tries again', (errno) => {
    const tree = memory('intel-pstate-i7-1165g7-8c');
    const actuator = governing(tree);
    const [policy0, policy1] = actuator.machine.domains;
    const low = point({ [policy0!.id]: policy0!.allowedMinKhz, [policy1!.id]: policy1!.allowedMinKhz });
    tree.fail(path(PREFERENCE), 'write', errno, 1);
    const [first, second] = actuator.apply(low).frequencies;
    expect(first).toMatchObject({
      outcome: 'refused',
      detail: `policy0: write power to ${PREFERENCE}: ${errno}`,
      appliedKhz: policy0!.allowedMaxKhz,
    });
    expect(second).toMatchObject({ outcome: 'applied', appliedKhz: policy1!.allowedMinKhz });
    expect(actuator.apply(low).frequencies[0]).toMatchObject({
      outcome: 'applied',
      appliedKhz: policy0!.allowedMinKhz,
    });
  });

  it('leaves the preference performance behind when told to leave full speed', () => {
    const tree = memory('intel-pstate-i7-1165g7-8c');
    const actuator = governing(tree);
    actuator.apply(point({ policy0: actuator.machine.domains[0]!.allowedMinKhz }));
    actuator.release('max');
    expect([shows(tree, 'scaling_governor'), shows(tree, PREFERENCE)]).toEqual(['powersave', 'performance']);
  });

  it('brings a preference to sight that the driver believes to have, though its CPU came back with another', () => {
    const base = memory('amd-pstate-active-16c');
    base.write(path(PREFERENCE, 'policy7'), 'power');
    const before = stateOf(base);
    /** As amd-pstate of Linux 6.12: what was asked last is not looked at again. */
    let asked = 'power';
    const tree: SysfsTree = {
      ...{
        root: base.root,
        read: (file) => base.read(file),
        list: (file) => base.list(file),
        close: () => base.close(),
      },
      write(file, text) {
        if (file !== path(PREFERENCE, 'policy7')) return base.write(file, text);
        const repeated = text === asked;
        asked = text;
        return repeated ? { ok: true, value: undefined } : base.write(file, text);
      },
    };
    const forget = () => base.write(path(PREFERENCE, 'policy7'), 'balance_power');
    const actuator = bench.actuator(tree, { method: 'epp' });
    actuator.engage();
    const low = point({ policy7: actuator.machine.domains[0]!.allowedMinKhz });
    actuator.apply(low);
    for (const cpu of ['cpu7', 'cpu15']) base.write(`devices/system/cpu/${cpu}/online`, '0');
    actuator.apply(low);
    for (const cpu of ['cpu7', 'cpu15']) base.write(`devices/system/cpu/${cpu}/online`, '1');
    forget();
    expect(actuator.apply(low).frequencies).toMatchObject([{ outcome: 'applied' }]);
    expect(shows(base, PREFERENCE, 'policy7')).toBe('power');
    forget();
    actuator.release('original');
    expect(stateOf(base)).toEqual(before);
  });

  it('takes a CPU that comes back with what its preferences count for', () => {
    const tree = memory('amd-pstate-active-16c');
    const actuator = governing(tree);
    const low = point({ policy7: actuator.machine.domains[0]!.allowedMinKhz });
    actuator.apply(low);
    for (const online of ['0', '1']) {
      for (const cpu of ['cpu7', 'cpu15']) tree.write(`devices/system/cpu/${cpu}/online`, online);
      actuator.apply(low);
    }
    actuator.apply(low);
    expect(shows(tree, PREFERENCE, 'policy7')).toBe('power');
    expect(actuator.machine.domains.every(({ stepsKhz }) => stepsKhz?.length === 4)).toBe(true);
  });
});
