import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readJournal } from '../../src/actuator/journal.ts';
import type { Actuator } from '../../src/core/actuator.ts';
import type { OperatingPoint } from '../../src/core/machine.ts';
import type { SysfsTree } from '../../src/core/sysfs-tree.ts';
import type { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';
import { ActuatorBench, CPU, CPUFREQ, changed, memory, point, shows, stateOf } from './actuator-bench.ts';

const MAX = `${CPUFREQ}/policy0/scaling_max_freq`;

let bench: ActuatorBench;
beforeEach(() => (bench = new ActuatorBench()));
afterEach(() => bench.remove());

const plug = (tree: MemoryTree, cpu: number, online: '0' | '1') => tree.write(`${CPU}/cpu${cpu}/online`, online);
const both = (khz: number) => point({ policy0: khz, policy1: khz });

describe('CPUs that go and come', () => {
  it('leave the others governed, and are governed again', () => {
    const tree = memory('acpi-cpufreq-qemu-2c');
    const actuator = bench.actuator(tree);
    actuator.engage();
    const whole = actuator.machine;
    plug(tree, 1, '0');
    const without = actuator.apply(both(2_000_000));
    expect(without.frequencies).toEqual([
      { domain: 'policy0', askedKhz: 2_000_000, appliedKhz: 2_000_000, outcome: 'applied' },
      {
        domain: 'policy1',
        askedKhz: 2_000_000,
        appliedKhz: null,
        outcome: 'refused',
        detail: 'policy1: gone from this machine',
      },
    ]);
    expect(without.disturbances).toEqual([
      {
        kind: 'machine',
        control: `${CPUFREQ}/policy1`,
        detail: 'gone, with its CPUs or its driver; CPUs 0 are online',
      },
    ]);
    expect(actuator.machine).not.toBe(whole);
    expect(actuator.machine).toMatchObject({ cpus: [0], domains: [{ id: 'policy0' }] });
    plug(tree, 1, '1');
    const back = actuator.apply(both(2_000_000));
    expect(back.frequencies).toMatchObject([{ outcome: 'unchanged' }, { outcome: 'applied', appliedKhz: 2_000_000 }]);
    expect(back.disturbances).toEqual([]);
    expect(actuator.machine).toEqual(whole);
  });

  it('that come first while we govern are in the journal before they are written, with the operator’s range', () => {
    const tree = memory('acpi-cpufreq-qemu-2c');
    tree.write(`${CPUFREQ}/policy1/scaling_max_freq`, '2400000');
    tree.write(`${CPUFREQ}/policy1/scaling_governor`, 'schedutil');
    const before = stateOf(tree);
    plug(tree, 1, '0');
    const actuator = bench.actuator(tree);
    actuator.engage();
    expect(readJournal(bench.journalPath)?.records).toHaveLength(2);
    plug(tree, 1, '1');
    expect(actuator.apply(both(2_800_000)).frequencies).toMatchObject([
      { domain: 'policy0' },
      { domain: 'policy1', appliedKhz: 2_400_000 },
    ]);
    expect(readJournal(bench.journalPath)?.records).toHaveLength(4);
    expect(actuator.machine.domains[1]).toMatchObject({ allowedMaxKhz: 2_400_000 });
    actuator.release('original');
    expect(stateOf(tree)).toEqual(before);
  });

  it('keep the operator’s range, not ours, when they return', () => {
    const tree = memory('acpi-cpufreq-qemu-2c');
    const actuator = bench.actuator(tree);
    actuator.engage();
    actuator.apply(both(1_200_000));
    plug(tree, 1, '0');
    actuator.apply(both(1_200_000));
    plug(tree, 1, '1');
    actuator.apply(both(1_200_000));
    expect(actuator.machine.domains[1]).toMatchObject({ allowedMaxKhz: 3_200_000 });
  });

  it('of a policy with several make it smaller, and it is governed on', () => {
    const tree = memory('arm-cpufreq-dt-3-policies-8c');
    const actuator = bench.actuator(tree);
    actuator.engage();
    plug(tree, 4, '0');
    expect(actuator.apply(point({ policy4: 1_100_000 })).frequencies).toMatchObject([{ outcome: 'applied' }]);
    expect(actuator.machine.domains[1]).toMatchObject({ id: 'policy4', cpus: [5, 6] });
  });

  it('that stay away are restored later, from the journal that stays', () => {
    const tree = memory('acpi-cpufreq-qemu-2c');
    const before = stateOf(tree);
    const actuator = bench.actuator(tree);
    actuator.engage();
    actuator.apply(both(1_200_000));
    plug(tree, 1, '0');
    actuator.apply(both(1_200_000));
    expect(actuator.release('original')).toContainEqual({
      control: `${CPUFREQ}/policy1/scaling_max_freq`,
      outcome: 'failed',
      detail: 'write 3200000: EBUSY',
    });
    plug(tree, 1, '1');
    bench.actuator(tree);
    expect(stateOf(tree)).toEqual(before);
  });
});

describe('a driver that goes', () => {
  it('takes its policies with it, and another is governed from its own originals', () => {
    const tree = memory('intel-pstate-passive-8c');
    const actuator = bench.actuator(tree);
    actuator.engage();
    actuator.apply(point({ policy0: 1_000_000 }));
    // intel_pstate goes over from passive to active mode: everything begins anew.
    for (let cpu = 0; cpu < 8; cpu++) tree.remove(`${CPUFREQ}/policy${cpu}`);
    const gone = actuator.apply(point({ policy0: 1_000_000 }));
    expect(gone.frequencies).toMatchObject([{ outcome: 'refused', appliedKhz: null }]);
    bench.nowMs += 1_100;
    expect(actuator.apply(point({ policy0: 1_000_000 })).frequencies).toMatchObject([{ outcome: 'refused' }]);
    expect(actuator.machine.domains).toEqual([]);
    const active = [...shippedMock('intel-pstate-i7-1165g7-8c').files].filter(([path]) => path.includes('/policy'));
    tree.add(active);
    const before = stateOf(tree);
    bench.nowMs += 2_100;
    actuator.apply(point({}));
    expect(actuator.apply(point({ policy0: 1_000_000 })).frequencies).toMatchObject([{ outcome: 'applied' }]);
    expect(actuator.machine.domains[0]).toMatchObject({ maxKhz: 4_700_000 });
    const released = actuator.release('original');
    expect(released).toContainEqual({
      control: `${CPUFREQ}/policy0/scaling_governor`,
      outcome: 'gone',
      detail: 'another driver than intel_cpufreq began with its own settings',
    });
    expect(stateOf(tree)).toEqual(before);
  });
});

describe('errors', () => {
  it.each(['EBUSY', 'EINVAL', 'EACCES', 'EIO', 'ENODEV', 'ENOSPC', 'EROFS'])(
    '%s from one policy leaves the other governed, is told once, counted, and over when it is over',
    (errno) => {
      const tree = memory('acpi-cpufreq-qemu-2c');
      const actuator = bench.actuator(tree);
      actuator.engage();
      tree.fail(MAX, 'write', errno, 3);
      const first = actuator.apply(both(2_000_000));
      expect(first.frequencies).toMatchObject([
        { outcome: 'refused', detail: `policy0: write 2000000 to scaling_max_freq: ${errno}` },
        { outcome: 'applied' },
      ]);
      const outcomes = Array.from({ length: 12 }, () => {
        bench.nowMs += 1_100;
        return actuator.apply(both(2_000_000));
      });
      expect(outcomes.at(-1)).toMatchObject({ frequencies: [{ appliedKhz: 2_000_000 }, {}], disturbances: [] });
      expect(outcomes.at(-1)!.disturbanceCounts).toMatchObject({ failure: 3 });
      const told = bench.log.filter((line) => line.startsWith('warn') && line.includes(MAX));
      expect(told).toEqual([`warn: ${MAX}: write 2000000 to scaling_max_freq: ${errno}`]);
    },
  );

  it('of several files are over when each is', () => {
    const tree = memory('acpi-cpufreq-qemu-2c');
    const actuator = bench.actuator(tree);
    actuator.engage();
    tree.fail(`${CPUFREQ}/policy0/scaling_governor`, 'read', 'EIO', 1);
    tree.fail(MAX, 'write', 'EIO', 2);
    const ticks = Array.from({ length: 12 }, () => actuator.apply(both(2_000_000)));
    expect(ticks.map(({ disturbances }) => disturbances?.length)).toContain(1);
    expect(ticks.at(-1)).toMatchObject({ frequencies: [{ appliedKhz: 2_000_000 }, {}], disturbances: [] });
    expect(ticks.at(-1)!.disturbanceCounts).toMatchObject({ failure: 3 });
  });

  it('EAGAIN is tried again at once', () => {
    const tree = memory('acpi-cpufreq-qemu-2c');
    const actuator = bench.actuator(tree);
    actuator.engage();
    tree.fail(MAX, 'write', 'EAGAIN', 1);
    expect(actuator.apply(both(2_000_000)).frequencies[0]).toMatchObject({ outcome: 'applied' });
  });

  it('of a persistent kind are tried ever less often', () => {
    const tree = memory('acpi-cpufreq-qemu-2c');
    const actuator = bench.actuator(tree);
    actuator.engage();
    tree.fail(MAX, 'write', 'EIO');
    let writes = 0;
    for (let tick = 0; tick < 100; tick++) writes += actuator.apply(both(2_000_000)).writes;
    expect(writes).toBeLessThan(12);
  });

  it('when reading back leave the outcome open, not the CPU fast', () => {
    const tree = memory('acpi-cpufreq-qemu-2c');
    const actuator = bench.actuator(tree);
    actuator.engage();
    actuator.apply(both(2_800_000));
    tree.fail(MAX, 'read', 'EIO', 1);
    expect(actuator.apply(both(2_000_000)).frequencies[0]).toMatchObject({ outcome: 'refused' });
    expect(actuator.apply(both(2_000_000)).frequencies[0]).toMatchObject({ appliedKhz: 2_000_000 });
  });

  it('of a read-only /sys stop the start with a hint, and nothing stays changed', () => {
    const tree = memory('intel-pstate-i7-1165g7-8c');
    const before = stateOf(tree);
    const readOnly: SysfsTree = {
      root: '/sys',
      read: (path) => tree.read(path),
      write: (path) => ({ ok: false, operation: 'write', path, errno: 'EROFS' }),
      list: (path) => tree.list(path),
      close: () => tree.close(),
    };
    expect(() => bench.actuator(readOnly).engage()).toThrow(/EROFS \(read-only, as in a container/);
    expect(stateOf(tree)).toEqual(before);
  });

  it('from one policy at the start leave it for later', () => {
    const tree = memory('acpi-cpufreq-qemu-2c');
    tree.write(`${CPUFREQ}/policy0/scaling_governor`, 'schedutil');
    tree.fail(`${CPUFREQ}/policy0/scaling_governor`, 'write', 'EIO', 1);
    const actuator = bench.actuator(tree);
    actuator.engage();
    expect(shows(tree, 'scaling_governor')).toBe('schedutil');
    actuator.apply(both(2_000_000));
    expect(shows(tree, 'scaling_governor')).toBe('performance');
    actuator.release('original');
    expect(shows(tree, 'scaling_governor')).toBe('schedutil');
  });

  it('that hide an original keep the policy from being touched until it can be read', () => {
    const tree = memory('acpi-cpufreq-qemu-2c');
    tree.write(`${CPUFREQ}/policy0/scaling_governor`, 'schedutil');
    tree.fail(`${CPUFREQ}/policy0/scaling_governor`, 'read', 'EIO', 100);
    const actuator = bench.actuator(tree);
    actuator.engage();
    tree.fail(`${CPUFREQ}/policy0/scaling_governor`, 'read', 'EIO', 0);
    expect(shows(tree, 'scaling_governor')).toBe('schedutil');
    bench.nowMs += 1_100;
    actuator.apply(both(2_000_000));
    expect(shows(tree, 'scaling_governor')).toBe('performance');
    actuator.release('original');
    expect(shows(tree, 'scaling_governor')).toBe('schedutil');
  });
});

/** The kernel applies a limit a moment after the write has returned. */
function lateTree(base: MemoryTree): SysfsTree & { settle(): void } {
  const waiting = new Map<string, string>();
  const stale = new Map<string, string>();
  return {
    root: base.root,
    read: (path) => (stale.has(path) ? { ok: true, value: stale.get(path)! } : base.read(path)),
    write(path, text) {
      if (!/scaling_m(ax|in)_freq$/.test(path)) return base.write(path, text);
      const now = base.read(path);
      if (now.ok) stale.set(path, stale.get(path) ?? now.value);
      waiting.set(path, text);
      return { ok: true, value: undefined };
    },
    list: (path) => base.list(path),
    close: () => base.close(),
    settle() {
      for (const [path, text] of waiting) base.write(path, text);
      waiting.clear();
      stale.clear();
    },
  };
}

describe('a file that already reads otherwise behind our own write', () => {
  /** @returns one that governs; what is written to it reads as 1.2 GHz at once, so many times */
  const meddled = (times: number) => {
    const base = memory('acpi-cpufreq-qemu-2c');
    const write = base.write.bind(base);
    base.write = (path, text) => {
      const result = write(path, text);
      if (path === MAX && text === '2400000' && times-- > 0) write(path, '1200000');
      return result;
    };
    const actuator = bench.actuator(base);
    actuator.engage();
    return { base, actuator };
  };

  it('is written again, for somebody else may have been quick', () => {
    const { base, actuator } = meddled(1);
    const writes = [1, 2, 3].map(() => actuator.apply(both(2_400_000)).writes);
    expect(writes).toEqual([2, 1, 0]);
    expect(shows(base, 'scaling_max_freq')).toBe('2400000');
  });

  it('and again is written no oftener, for it may be a limit that nothing tells of', () => {
    const { actuator } = meddled(Infinity);
    const writes = [1, 2, 3, 4].map(() => actuator.apply(both(2_400_000)).writes);
    expect(writes).toEqual([2, 1, 0, 0]);
    expect(actuator.apply(both(2_400_000)).frequencies[0]).toMatchObject({ outcome: 'clamped', appliedKhz: 1_200_000 });
  });
});

describe('a kernel that applies a limit after the write has returned', () => {
  /** @returns one that governs at full speed */
  const late = (options: Parameters<typeof bench.actuator>[1] = {}) => {
    const base = memory('acpi-cpufreq-qemu-2c');
    const tree = lateTree(base);
    const actuator = bench.actuator(tree, options);
    actuator.engage();
    tree.settle();
    return { base, tree, actuator };
  };

  it.each(['cap', 'pin'] as const)('is not taken for a foreign writer, nor for a clamp: %s', (method) => {
    const { tree, actuator } = late({ method });
    for (const khz of [2_000_000, 2_800_000, 1_200_000, 1_200_000, 3_200_000]) {
      expect(actuator.apply(both(khz)).frequencies[0]).toMatchObject({ appliedKhz: khz });
      tree.settle();
    }
    expect(actuator.apply(both(3_200_000))).toMatchObject({ writes: 0, disturbances: [] });
    expect(bench.log).toEqual([]);
  });

  it('does not hide that somebody else wrote before the answer was seen', () => {
    const { base, tree, actuator } = late();
    actuator.apply(both(2_400_000));
    tree.settle();
    base.write(`${CPUFREQ}/policy0/scaling_max_freq`, '1200000');
    expect(actuator.apply(both(2_400_000)).writes).toBe(1);
    tree.settle();
    expect(actuator.apply(both(2_400_000))).toMatchObject({ writes: 0, disturbances: [] });
    expect(shows(base, 'scaling_max_freq')).toBe('2400000');
  });

  it('and clamps it by what nothing tells of, is written to once more and no oftener', () => {
    const { base, tree, actuator } = late();
    const writes = Array.from({ length: 5 }, () => {
      const applied = actuator.apply(both(2_400_000)).writes;
      tree.settle();
      base.write(`${CPUFREQ}/policy0/scaling_max_freq`, '1200000');
      return applied;
    });
    expect(writes).toEqual([2, 1, 0, 0, 0]);
    expect(actuator.apply(both(2_400_000)).frequencies[0]).toMatchObject({ outcome: 'clamped', appliedKhz: 1_200_000 });
  });

  it('is seen to have clamped at the next application', () => {
    const base = memory('acpi-cpufreq-qemu-2c');
    const tree = lateTree(base);
    const actuator = bench.actuator(tree);
    actuator.engage();
    actuator.apply(both(1_600_000));
    tree.settle();
    actuator.apply(both(1_600_000));
    base.set(`${CPUFREQ}/policy0/bios_limit`, '1600000');
    actuator.apply(both(2_400_000));
    tree.settle();
    expect(actuator.apply(both(2_400_000)).frequencies[0]).toMatchObject({ outcome: 'clamped', appliedKhz: 1_600_000 });
    actuator.apply(both(2_800_000));
    expect(actuator.apply(both(2_800_000)).frequencies[0]).toMatchObject({ outcome: 'clamped', appliedKhz: 1_600_000 });
  });
});

describe('a large machine', () => {
  const applyIn = (actuator: Actuator, asked: OperatingPoint, ms: number) => {
    bench.nowMs += ms;
    return actuator.apply(asked).writes;
  };

  it.each([10, 100, 400, 1000])('is looked at in turns, all of it within a second of ticks of %d ms', (tickMs) => {
    const tree = memory('intel-pstate-2s-128c');
    const actuator = bench.actuator(tree, { lookRoundMs: 1000 });
    actuator.engage();
    const asked = point(Object.fromEntries(actuator.machine.domains.map(({ id }) => [id, 2_000_000])));
    for (let tick = 0; tick < 3; tick++) applyIn(actuator, asked, tickMs);
    const foreign = [0, 1, 77, 127].map((cpu) => `policy${cpu}`);
    for (const policy of foreign) tree.write(`${CPUFREQ}/${policy}/scaling_max_freq`, '3000000');
    let found = 0;
    for (let passedMs = 0; passedMs < 1000; passedMs += tickMs) found += applyIn(actuator, asked, tickMs);
    expect(found).toBe(foreign.length);
    for (const policy of foreign) expect(shows(tree, 'scaling_max_freq', policy)).toBe('2000000');
  });

  it('is looked at a little in each application', () => {
    const tree = memory('intel-pstate-2s-128c');
    let reads = 0;
    const counting: SysfsTree = {
      root: tree.root,
      read: (path) => {
        reads += 1;
        return tree.read(path);
      },
      write: (path, text) => tree.write(path, text),
      list: (path) => tree.list(path),
      close: () => tree.close(),
    };
    const actuator = bench.actuator(counting, { lookRoundMs: 1000 });
    actuator.engage();
    const asked = point(Object.fromEntries(actuator.machine.domains.map(({ id }) => [id, 2_000_000])));
    for (let tick = 0; tick < 4; tick++) applyIn(actuator, asked, 100);
    reads = 0;
    expect(applyIn(actuator, asked, 100)).toBe(0);
    expect(reads).toBeLessThan(40);
  });

  it('has what was written read back at once', () => {
    const tree = memory('intel-pstate-2s-128c');
    const actuator = bench.actuator(tree, { lookRoundMs: 1000 });
    actuator.engage();
    const asked = (khz: number) => point(Object.fromEntries(actuator.machine.domains.map(({ id }) => [id, khz])));
    actuator.apply(asked(2_000_000));
    bench.nowMs += 100;
    const { frequencies, writes } = actuator.apply(asked(2_500_000));
    expect(writes).toBe(128);
    expect(new Set(frequencies.map(({ outcome, appliedKhz }) => `${outcome} ${appliedKhz}`))).toEqual(
      new Set(['applied 2500000']),
    );
  });
});

describe('an actuator without cpufreq', () => {
  it('says so', () => {
    expect(() => bench.actuator(memory('virtual-machine-4c'))).toThrow(/no cpufreq policy of an online CPU/);
    expect(() => bench.actuator(changed('acpi-cpufreq-qemu-2c', { [MAX]: 'junk' }))).not.toThrow();
  });
});
