import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canGovernCores, describeAffinity } from '../../src/actuator/affinity-methods.ts';
import { restoreFromJournal } from '../../src/actuator/restore.ts';
import { createCorePlanner } from '../../src/planner/core-planner.ts';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { ActuatorBench, changed, memory, observed, point, stateOf } from './actuator-bench.ts';
import { FakeThreads, ownersOf } from './cores-bench.ts';

const VM = 'virtual-machine-4c';
const CPU = 'devices/system/cpu';

describe('a machine without cpufreq', () => {
  let bench: ActuatorBench;
  let threads: FakeThreads;
  beforeEach(() => {
    bench = new ActuatorBench();
    threads = new FakeThreads();
    threads.add(500, '/', [[0, 1, 2, 3], [2]]);
  });
  afterEach(() => bench.remove());

  const govern = (tree: MemoryTree) => {
    const cores = { locate: () => new Map([['web', { pids: [500] }]]), method: 'auto' as const, force: false };
    const actuator = bench.actuator(tree, { coresAlone: true, cores, owners: ownersOf(tree, threads) });
    actuator.engage();
    const services = [{ service: 'web', minCpus: 1, reserved: [0] }];
    const plan = (level: number) =>
      createCorePlanner(actuator.machine, { limits: {}, strategy: 'cores', services, power: null }).plan([
        { service: 'web', level },
      ]).point;
    return { actuator, plan };
  };

  it('has the CPUs of its services governed alone, by a ladder of CPUs', () => {
    const { actuator, plan } = govern(memory(VM));
    expect(actuator.method).toBe('none');
    expect(actuator.machine).toMatchObject({ cpus: [0, 1, 2, 3], domains: [] });
    for (const [level, cpus] of [
      [0, [1]],
      [0.5, [1, 2]],
      [1, [1, 2, 3]],
      [0.34, [1, 2]],
    ] as const) {
      const applied = actuator.apply(plan(level));
      expect(applied).toMatchObject({ frequencies: [], disturbances: [] });
      expect(applied.cpus).toMatchObject([{ service: 'web', method: 'threads', appliedCpus: cpus }]);
      expect(threads.maskOf(500)).toEqual(cpus);
    }
    actuator.release('original');
    expect([threads.maskOf(500), threads.maskOf(501)]).toEqual([[0, 1, 2, 3], [2]]);
  });

  it('is restored from the journal, and follows CPUs that go and come', () => {
    const tree = memory(VM);
    const { actuator, plan } = govern(tree);
    tree.write(`${CPU}/cpu3/online`, '0');
    actuator.apply(plan(1));
    expect(actuator.machine.cpus).toEqual([0, 1, 2]);
    expect(actuator.apply(plan(1)).cpus).toMatchObject([{ appliedCpus: [1, 2] }]);
    tree.write(`${CPU}/cpu3/online`, '1');
    actuator.apply(plan(1));
    expect(actuator.apply(plan(1)).cpus).toMatchObject([{ appliedCpus: [1, 2, 3] }]);
    const owners = ownersOf(tree, threads);
    const restored = restoreFromJournal({ journalPath: bench.journalPath, tree, owners });
    expect(restored.map(({ outcome }) => outcome)).not.toContain('failed');
    expect([threads.maskOf(500), threads.maskOf(501)]).toEqual([[0, 1, 2, 3], [2]]);
  });

  it('is refused where frequencies are what is to be governed, with what could be instead', () => {
    expect(() => bench.actuator(memory(VM))).toThrow(
      'no cpufreq policy of an online CPU; with planner.strategy cores or pack CPUs alone can be governed',
    );
  });

  it('is refused with one CPU, where there is nothing to give or to take', () => {
    const single = changed(VM, { [`${CPU}/online`]: '0' });
    expect(canGovernCores(single)).toBe(false);
    expect(() => bench.actuator(single, { coresAlone: true })).toThrow(/no cpufreq policy/);
  });
});

describe('CPUs that no service may use', () => {
  let bench: ActuatorBench;
  beforeEach(() => (bench = new ActuatorBench()));
  afterEach(() => bench.remove());

  const governing = (machine: string, leaveAlone: () => readonly number[], options: { method?: 'epp' } = {}) => {
    const base = memory(machine);
    const before = stateOf(base);
    const written = new Set<string>();
    const tree = observed(base, (path) => written.add(/policy\d+/.exec(path)?.[0] ?? path));
    const actuator = bench.actuator(tree, { ...options, leaveAlone });
    actuator.engage();
    const apply = () =>
      actuator.apply(point(Object.fromEntries(actuator.machine.domains.map((each) => [each.id, each.minKhz]))));
    return { base, before, actuator, written, apply };
  };

  it.each([
    ['arm-cpufreq-dt-3-policies-8c', {}, [7], 'policy7'],
    ['intel-pstate-i7-1165g7-8c', { method: 'epp' }, [1, 5], 'policy1'],
    ['amd-pstate-active-16c', { method: 'epp' }, [0, 8], 'policy0'],
  ] as const)('have no file of their clocks written: %s %o', (machine, options, reserved, policy) => {
    const { base, before, actuator, written, apply } = governing(machine, () => reserved, options);
    apply();
    expect(written.size).toBeGreaterThan(0);
    expect([...written]).not.toContain(policy);
    expect(actuator.machine.domains.map(({ id }) => id)).not.toContain(policy);
    expect(actuator.machine.cpus).toEqual(expect.arrayContaining([...reserved]));
    actuator.release('original');
    expect(stateOf(base)).toEqual(before);
  });

  it('are set where their clock is another CPU’s, too', () => {
    const { written, apply } = governing('intel-pstate-i7-1165g7-8c', () => [1]);
    apply();
    expect([...written]).toContain('policy1');
  });

  it('are governed from when a service may use them, and stay so until the end', () => {
    let reserved: readonly number[] = [7];
    const { base, before, actuator, written, apply } = governing('arm-cpufreq-dt-3-policies-8c', () => reserved);
    reserved = [];
    apply();
    apply();
    expect([...written]).toContain('policy7');
    reserved = [7];
    apply();
    expect(actuator.machine.domains.map(({ id }) => id)).toContain('policy7');
    actuator.release('original');
    expect(stateOf(base)).toEqual(before);
  });
});

describe('describeAffinity()', () => {
  const lacking = (tree: MemoryTree, systemd: boolean) =>
    describeAffinity(tree, systemd).map(({ method, lacking: what }) => [method, what]);
  const files = (more: Readonly<Record<string, string>>) => {
    const machine = { name: 'm', machine: 'm', source: 'a test', status: 'described' as const };
    return new MemoryTree({ ...machine, files: new Map([[`${CPU}/online`, '0-1'], ...Object.entries(more)]) });
  };

  it('says of each method what it lacks', () => {
    expect(lacking(memory(VM), false)).toEqual([
      ['unit', 'systemd does not run here'],
      ['cgroup2', 'no controller cpuset of cgroup version 2'],
      ['cgroup1', 'no cpuset of cgroup version 1'],
      ['threads', null],
    ]);
    expect(lacking(files({ 'fs/cgroup/cgroup.controllers': 'cpuset cpu io' }), true)).toEqual([
      ['unit', null],
      ['cgroup2', null],
      ['cgroup1', 'no cpuset of cgroup version 1'],
      ['threads', null],
    ]);
  });

  it('knows that systemd sets AllowedCPUs with version 2 alone', () => {
    const hybrid = files({ 'fs/cgroup/unified/cgroup.controllers': '', 'fs/cgroup/cpuset/cpuset.cpus': '0-1' });
    expect(lacking(hybrid, true)).toEqual([
      ['unit', 'no controller cpuset of cgroup version 2'],
      ['cgroup2', 'no controller cpuset of cgroup version 2'],
      ['cgroup1', null],
      ['threads', null],
    ]);
  });
});
