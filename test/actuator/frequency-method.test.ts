import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeMethods, type FrequencyMethod } from '../../src/actuator/frequency-method.ts';
import { ActuatorBench, CPUFREQ, changed, memory, point, shows, stateOf } from './actuator-bench.ts';

const reasons = (machine: string) =>
  describeMethods(memory(machine)).map(({ method, reason }) => `${method}: ${reason}`);

describe('describeMethods()', () => {
  it('prefers the cap, and says what is with the others', () => {
    expect(reasons('acpi-cpufreq-qemu-2c')).toEqual([
      'cap: the first that every policy offers',
      'pin: possible, after cap',
      'setspeed: possible, after cap',
      'epp: acpi-cpufreq does not choose speeds by an energy preference; drivers in active mode do',
    ]);
    expect(reasons('intel-pstate-2s-128c').slice(2)).toEqual([
      'setspeed: intel_pstate governs itself and has no governor userspace',
      'epp: possible, after cap',
    ]);
  });

  it('offers no energy preference that could not be put back, or that the CPU has not', () => {
    const hidden = memory('amd-pstate-active-16c');
    hidden.write(`${CPUFREQ}/policy3/scaling_governor`, 'performance');
    expect(describeMethods(hidden).at(-1)).toMatchObject({
      method: 'epp',
      chosen: false,
      reason: 'governor performance of policy3 hides the operator’s preference, which could not be put back',
      remedy: expect.stringContaining('echo powersave >') as string,
    });
    const file = 'energy_performance_available_preferences';
    const without = changed('intel-pstate-2s-128c', { [`${CPUFREQ}/policy5/${file}`]: null });
    expect(describeMethods(without).at(-1)).toMatchObject({
      reason: 'policy5 offers no energy preferences: the CPU lacks them',
    });
  });

  it('takes another where the governor is not loaded, and says how to load it', () => {
    const tree = changed('acpi-cpufreq-qemu-2c', {
      [`${CPUFREQ}/policy1/scaling_available_governors`]: 'schedutil powersave',
    });
    expect(describeMethods(tree)).toMatchObject([
      {
        method: 'cap',
        chosen: false,
        reason: 'governor performance expected, offered by policy1: schedutil, powersave',
        remedy: 'load the governor: modprobe cpufreq_performance',
      },
      { method: 'pin', chosen: true },
      { method: 'setspeed', chosen: false, reason: expect.stringContaining('userspace') as string },
      { method: 'epp', chosen: false },
    ]);
  });

  it('has nothing to say without cpufreq', () => {
    expect(describeMethods(memory('virtual-machine-4c'))).toEqual([]);
  });
});

describe('a method', () => {
  let bench: ActuatorBench;
  beforeEach(() => (bench = new ActuatorBench()));
  afterEach(() => bench.remove());

  it('that the driver does not offer is refused with the reason', () => {
    expect(() => bench.actuator(memory('amd-pstate-active-16c'), { method: 'setspeed' })).toThrow(
      'setspeed: amd-pstate-epp governs itself and has no governor userspace',
    );
  });

  const cases: readonly [FrequencyMethod, string, string, number, Readonly<Record<string, string>>][] = [
    [
      'cap',
      'amd-pstate-active-16c',
      'policy0',
      2_345_000,
      { scaling_max_freq: '2345000', scaling_governor: 'performance' },
    ],
    ['cap', 'arm-cppc-64c', 'policy63', 1_234_567, { scaling_max_freq: '1234567', scaling_cur_freq: '1234567' }],
    ['pin', 'arm-cppc-64c', 'policy63', 1_234_567, { scaling_min_freq: '1234567', scaling_governor: 'schedutil' }],
    [
      'cap',
      'intel-pstate-passive-8c',
      'policy0',
      2_345_000,
      { scaling_max_freq: '2345000', scaling_cur_freq: '2345000' },
    ],
    [
      'cap',
      'arm-cpufreq-dt-3-policies-8c',
      'policy4',
      1_500_000,
      { scaling_max_freq: '1500000', scaling_cur_freq: '1500000' },
    ],
    ['pin', 'acpi-cpufreq-qemu-2c', 'policy0', 2_000_000, { scaling_min_freq: '2000000', scaling_max_freq: '2000000' }],
    [
      'pin',
      'amd-pstate-active-16c',
      'policy0',
      2_000_000,
      { scaling_min_freq: '2000000', scaling_governor: 'powersave' },
    ],
    ['pin', 'intel-pstate-i7-1165g7-8c', 'policy0', 2_000_000, { energy_performance_preference: 'balance_power' }],
    [
      'setspeed',
      'acpi-cpufreq-qemu-2c',
      'policy0',
      2_000_000,
      { scaling_setspeed: '2000000', scaling_max_freq: '3200000' },
    ],
    ['setspeed', 'arm-cpufreq-dt-3-policies-8c', 'policy7', 1_700_000, { scaling_cur_freq: '1700000' }],
    ['setspeed', 'intel-pstate-passive-8c', 'policy0', 1_234_567, { scaling_cur_freq: '1234567' }],
  ];

  it.each(cases)('%s on %s sets, says what it set, and gives back', (method, machine, policy, khz, expected) => {
    const tree = memory(machine);
    const before = stateOf(tree);
    const actuator = bench.actuator(tree, { method });
    actuator.engage();
    const domain = actuator.machine.domains.find(({ id }) => id === policy)!;
    const applied = actuator.apply(point({ [policy]: khz }));
    expect(applied).toMatchObject({
      frequencies: [{ domain: policy, appliedKhz: khz, outcome: 'applied' }],
      disturbances: [],
    });
    for (const [file, text] of Object.entries(expected))
      expect([file, shows(tree, file, policy)]).toEqual([file, text]);
    const full = actuator.apply(point({ [policy]: domain.maxKhz })).frequencies;
    expect(full).toMatchObject([{ appliedKhz: domain.maxKhz, outcome: 'applied' }]);
    expect(actuator.apply(point({ [policy]: domain.maxKhz }))).toMatchObject({ writes: 0 });
    actuator.apply(point({ [policy]: khz }));
    actuator.release('original');
    expect(stateOf(tree)).toEqual(before);
  });

  it.each(cases)('%s on %s leaves at full speed when told so', (method, machine, policy, khz) => {
    const tree = memory(machine);
    const actuator = bench.actuator(tree, { method });
    actuator.engage();
    actuator.apply(point({ [policy]: khz }));
    const { maxKhz } = actuator.machine.domains.find(({ id }) => id === policy)!;
    const released = actuator.release('max');
    expect(released.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
    expect(shows(tree, 'scaling_max_freq', policy)).toBe(String(maxKhz));
    if (method === 'pin') expect(shows(tree, 'scaling_min_freq', policy)).toBe(String(maxKhz));
    if (method === 'setspeed') expect(shows(tree, 'scaling_setspeed', policy)).toBe(String(maxKhz));
  });

  it('puts a speed back that governor userspace had', () => {
    const tree = memory('acpi-cpufreq-qemu-2c');
    tree.write(`${CPUFREQ}/policy0/scaling_governor`, 'userspace');
    tree.write(`${CPUFREQ}/policy0/scaling_setspeed`, '1600000');
    for (const method of ['cap', 'setspeed'] as const) {
      const actuator = bench.actuator(tree, { method });
      actuator.engage();
      actuator.apply(point({ policy0: 2_400_000 }));
      actuator.release('original');
      expect(shows(tree, 'scaling_governor')).toBe('userspace');
      expect(shows(tree, 'scaling_setspeed')).toBe('1600000');
    }
  });

  it('pins under a limit without hidden requests that come to light later', () => {
    const tree = memory('acpi-cpufreq-qemu-2c');
    const actuator = bench.actuator(tree, { method: 'pin' });
    actuator.engage();
    actuator.apply(point({ policy0: 2_800_000 }));
    tree.set(`${CPUFREQ}/policy0/bios_limit`, '1600000');
    expect(actuator.apply(point({ policy0: 2_800_000 })).frequencies).toMatchObject([
      { appliedKhz: 1_600_000, outcome: 'clamped' },
    ]);
    actuator.apply(point({ policy0: 2_000_000 }));
    tree.set(`${CPUFREQ}/policy0/bios_limit`, '3200000');
    actuator.apply(point({ policy0: 2_000_000 }));
    expect([shows(tree, 'scaling_min_freq'), shows(tree, 'scaling_max_freq')]).toEqual(['2000000', '2000000']);
    actuator.release('original');
    expect([shows(tree, 'scaling_min_freq'), shows(tree, 'scaling_max_freq')]).toEqual(['1200000', '3200000']);
  });
});

describe('boost', () => {
  let bench: ActuatorBench;
  beforeEach(() => (bench = new ActuatorBench()));
  afterEach(() => bench.remove());
  const noTurbo = 'devices/system/cpu/intel_pstate/no_turbo';
  const value = (tree: ReturnType<typeof memory>, path: string) => tree.read(path);

  it('is left alone unless asked for', () => {
    const tree = memory('amd-pstate-active-16c');
    const actuator = bench.actuator(tree);
    actuator.engage();
    expect(value(tree, `${CPUFREQ}/boost`)).toEqual({ ok: true, value: '1' });
  });

  it('off: intel_pstate plans without turbo, and has it back afterwards', () => {
    const tree = memory('intel-pstate-passive-8c');
    const before = stateOf(tree);
    const actuator = bench.actuator(tree, { boost: 'off' });
    expect(actuator.machine.domains[0]).toMatchObject({ allowedMaxKhz: 4_800_000 });
    actuator.engage();
    expect(value(tree, noTurbo)).toEqual({ ok: true, value: '1' });
    expect(actuator.machine.domains[0]).toMatchObject({ allowedMaxKhz: 3_500_000, maxKhz: 4_800_000 });
    expect(actuator.apply(point({ policy0: 4_800_000 })).frequencies).toMatchObject([{ appliedKhz: 3_500_000 }]);
    actuator.release('original');
    expect(value(tree, noTurbo)).toEqual({ ok: true, value: '0' });
    expect(stateOf(tree)).toEqual(before);
  });

  it('off: amd-pstate loses its range above nominal, an operator’s maximum is kept, and both come back', () => {
    const tree = memory('amd-pstate-active-16c');
    tree.write(`${CPUFREQ}/policy0/scaling_max_freq`, '3000000');
    const before = stateOf(tree);
    const actuator = bench.actuator(tree, { boost: 'off' });
    actuator.engage();
    expect(actuator.machine.domains[1]).toMatchObject({ maxKhz: 3_400_000 });
    actuator.apply(point({ policy0: 3_000_000, policy1: 2_000_000 }));
    expect(Number(shows(tree, 'scaling_max_freq', 'policy8'))).toBeLessThanOrEqual(3_400_000);
    actuator.release('original');
    expect(stateOf(tree)).toEqual(before);
  });

  it('on: is switched on, and off again', () => {
    const tree = changed('intel-pstate-passive-8c', { [noTurbo]: '1' });
    const actuator = bench.actuator(tree, { boost: 'on' });
    actuator.engage();
    expect(value(tree, noTurbo)).toEqual({ ok: true, value: '0' });
    actuator.release('original');
    expect(value(tree, noTurbo)).toEqual({ ok: true, value: '1' });
  });

  it('does not take what turbo’s absence leaves for the operator’s maximum', () => {
    const tree = memory('intel-pstate-passive-8c');
    tree.write(noTurbo, '1');
    const actuator = bench.actuator(tree);
    actuator.engage();
    actuator.apply(point({ policy0: 2_000_000 }));
    actuator.release('original');
    expect(shows(tree, 'scaling_max_freq')).toBe('3500000');
    tree.write(noTurbo, '0');
    expect(shows(tree, 'scaling_max_freq')).toBe('4800000');
  });

  it('that this driver lacks is said, and governed without', () => {
    const actuator = bench.actuator(memory('acpi-cpufreq-qemu-2c'), { boost: 'off' });
    actuator.engage();
    expect(bench.log.join()).toContain('no switch of boost below acpi-cpufreq-qemu-2c');
  });

  it('that cannot be switched stops the start, and nothing stays changed', () => {
    const tree = memory('intel-pstate-passive-8c');
    const before = stateOf(tree);
    tree.fail(noTurbo, 'write', 'EPERM');
    expect(() => bench.actuator(tree, { boost: 'off' }).engage()).toThrow(/switch boost off: .*no_turbo: EPERM/);
    tree.fail(noTurbo, 'write', 'EPERM', 0);
    expect(stateOf(tree)).toEqual(before);
  });

  it('is switched again without an alarm when a CPU that comes has switched it on', () => {
    const tree = memory('amd-pstate-active-16c');
    const before = stateOf(tree);
    const actuator = bench.actuator(tree, { boost: 'off' });
    actuator.engage();
    const asked = point({ policy0: 2_000_000, policy7: 2_000_000 });
    actuator.apply(asked);
    for (const online of ['0', '1']) {
      tree.write(`devices/system/cpu/cpu7/online`, online);
      tree.write(`devices/system/cpu/cpu15/online`, online);
      actuator.apply(asked);
    }
    expect(value(tree, `${CPUFREQ}/boost`)).toEqual({ ok: true, value: '0' });
    expect(actuator.apply(asked)).toMatchObject({
      writes: 0,
      disturbances: [],
      frequencies: [
        { domain: 'policy0', appliedKhz: 2_000_000 },
        { domain: 'policy7', appliedKhz: 2_000_000 },
      ],
    });
    actuator.release('original');
    expect(stateOf(tree)).toEqual(before);
  });

  it('that somebody switches back is reported, and switched again', () => {
    const tree = memory('amd-pstate-active-16c');
    tree.write(`${CPUFREQ}/boost`, '0');
    const actuator = bench.actuator(tree, { boost: 'on', foreignWriter: { overridesPerMinute: 1 } });
    actuator.engage();
    bench.processes = ['tuned'];
    const asked = point({ policy0: 2_000_000 });
    tree.write(`${CPUFREQ}/boost`, '0');
    // The machine is looked at in turns, all of it within ten.
    for (let turn = 0; turn < 10; turn++) actuator.apply(asked);
    expect(value(tree, `${CPUFREQ}/boost`)).toEqual({ ok: true, value: '1' });
    tree.write(`${CPUFREQ}/boost`, '0');
    for (let turn = 0; turn < 10; turn++) actuator.apply(asked);
    expect(value(tree, `${CPUFREQ}/boost`)).toEqual({ ok: true, value: '0' });
    expect(actuator.apply(asked).disturbances).toContainEqual({
      kind: 'foreign-writer',
      control: `${CPUFREQ}/boost`,
      detail: 'somebody else writes it: wrote 1, reads 0; running: tuned; left alone for a while',
    });
  });
});
