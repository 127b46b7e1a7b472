import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FREQUENCY_METHODS } from '../../src/actuator/frequency-method.ts';
import { restoreFromJournal } from '../../src/actuator/restore.ts';
import { createPlanner } from '../../src/compose/create-planner.ts';
import { followingPlanner } from '../../src/compose/following-planner.ts';
import { formatCpuList, parseCpuList } from '../../src/core/cpu-list.ts';
import type { Machine, OperatingPoint } from '../../src/core/machine.ts';
import type { SysfsTree } from '../../src/core/sysfs-tree.ts';
import { kiloHertz } from '../../src/core/units.ts';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { ActuatorBench, CPU, CPUFREQ } from '../actuator/actuator-bench.ts';
import { FakeThreads, ownersOf } from '../actuator/cores-bench.ts';
import { machineOf, shapes } from '../planner/random-machine.ts';

const SERVICES = { web: 500, db: 600 };
const cgroupOf = (service: string) => `/batch/${service}`;
const cpusetOf = (service: string) => `fs/cgroup${cgroupOf(service)}/cpuset.cpus`;
const POLICY_FILES = ['scaling_governor', 'scaling_min_freq', 'scaling_max_freq'];

interface Operator {
  readonly minKhz: number;
  readonly maxKhz: number;
  readonly governor: string;
}

/** The files of a machine with acpi-cpufreq, and a control group for each service. */
function treeOf(machine: Machine, operator: Operator): MemoryTree {
  const files = new Map<string, string>([
    ['fs/cgroup/cgroup.controllers', 'cpuset'],
    ['fs/cgroup/cpuset.cpus.effective', ''],
  ]);
  const all = formatCpuList(machine.cpus);
  for (const file of ['online', 'possible', 'present']) files.set(`${CPU}/${file}`, all);
  for (const { cpu, core, node, package: packageId } of machine.places!) {
    const siblings = machine.places!.filter((place) => place.core === core).map((place) => place.cpu);
    files.set(`${CPU}/cpu${cpu}/topology/thread_siblings_list`, formatCpuList(siblings));
    files.set(`${CPU}/cpu${cpu}/topology/physical_package_id`, String(packageId));
    if (cpu > 0) files.set(`${CPU}/cpu${cpu}/online`, '1');
    const list = `devices/system/node/node${node}/cpulist`;
    files.set(list, formatCpuList([...(parseCpuList(files.get(list) ?? '') ?? []), cpu]));
  }
  for (const { id, cpus, minKhz, maxKhz, stepsKhz } of machine.domains) {
    const policy: Record<string, string> = {
      affected_cpus: cpus.join(' '),
      related_cpus: cpus.join(' '),
      cpuinfo_min_freq: String(minKhz),
      cpuinfo_max_freq: String(maxKhz),
      scaling_available_governors: 'performance powersave schedutil userspace',
      scaling_driver: 'acpi-cpufreq',
      scaling_governor: operator.governor,
      scaling_cur_freq: String(maxKhz),
      scaling_min_freq: String(operator.minKhz),
      scaling_max_freq: String(operator.maxKhz),
      scaling_setspeed: '<unsupported>',
    };
    if (stepsKhz !== null) policy['scaling_available_frequencies'] = stepsKhz.join(' ');
    for (const [file, text] of Object.entries(policy)) files.set(`${CPUFREQ}/${id}/${file}`, text);
  }
  for (const [service, pid] of Object.entries(SERVICES)) {
    files.set(cpusetOf(service), '');
    files.set(`${cpusetOf(service)}.effective`, '');
    files.set(`fs/cgroup${cgroupOf(service)}/cgroup.procs`, String(pid));
  }
  return new MemoryTree({ name: 'random', machine: 'random', source: 'a test', status: 'described', files });
}

const step = fc.constantFrom(800_000, 1_200_000, 1_600_000, 2_000_000, 2_400_000);
const level = fc.double({ min: 0, max: 1, noNaN: true });
const place = fc.nat(100);
const errno = fc.constantFrom('EIO', 'EBUSY', 'EINVAL', 'EAGAIN', 'ENOSPC');
const times = fc.integer({ min: 1, max: 3 });
const event = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('levels'), web: level, db: level, busy: level }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('policy-fault'),
      place,
      file: fc.constantFrom(...POLICY_FILES),
      operation: fc.constantFrom('read' as const, 'write' as const),
      errno,
      times,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('cpuset-fault'),
      service: fc.constantFrom('web', 'db'),
      errno,
      times,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('plug'), place, online: fc.constantFrom('0', '1') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('time'), seconds: fc.nat(100) }) },
);
const scenario = fc.record({
  shape: shapes,
  operator: fc
    .tuple(step, step, fc.constantFrom('performance', 'powersave', 'schedutil'))
    .map(([a, b, governor]): Operator => ({ minKhz: Math.min(a, b), maxKhz: Math.max(a, b), governor })),
  strategy: fc.constantFrom('frequency' as const, 'cores' as const, 'pack' as const),
  // The random machines are acpi-cpufreq's, which has no energy preference.
  method: fc.constantFrom(...FREQUENCY_METHODS.filter((method) => method !== 'epp')),
  cores: fc.constantFrom('auto' as const, 'threads' as const),
  reserved: fc.uniqueArray(fc.nat(30), { maxLength: 4 }),
  events: fc.array(event, { maxLength: 12 }),
  dies: fc.boolean(),
});

const text = (tree: SysfsTree, path: string) => {
  const result = tree.read(path);
  return result.ok ? result.value : result.errno;
};

describe('frequencies and CPUs together, on any machine, whatever happens', () => {
  it('have their original effect in the end, no minimum above its maximum, and no reserved CPU in any write', () => {
    let granted = 0;
    let spared = 0;
    fc.assert(
      fc.property(scenario, ({ shape, operator, strategy, method, cores, reserved, events, dies }) => {
        const machine = machineOf(shape);
        const base = treeOf(machine, operator);
        const threads = new FakeThreads();
        for (const [service, pid] of Object.entries(SERVICES)) {
          threads.add(pid, cgroupOf(service), [[...machine.cpus], [machine.cpus.at(-1)!]]);
        }
        const stateNow = () => ({
          policies: machine.domains.map(({ id }) => POLICY_FILES.map((file) => text(base, `${CPUFREQ}/${id}/${file}`))),
          cpusets: Object.keys(SERVICES).map((service) => text(base, `${cpusetOf(service)}.effective`)),
          masks: [...threads.threads].map(([tid, { mask }]) => [tid, [...mask]]),
        });
        const original = stateNow();
        /** What the kernel has been asked for, which it may hide. */
        const asked = new Map<string, { min: number; max: number }>(
          machine.domains.map(({ id }) => [id, { min: operator.minKhz, max: operator.maxKhz }]),
        );
        let governing = true;
        const forbidden = new Set<number>(reserved);
        const leaveAlone = strategy === 'frequency' ? [] : reserved;
        // A clock that a CPU has which is not reserved is set, whoever shares it.
        const sharing = (cpus: readonly number[]) =>
          machine.places!.filter(({ core }) =>
            machine.places!.some((own) => cpus.includes(own.cpu) && own.core === core),
          );
        const untouched = machine.domains
          .filter(({ cpus }) => sharing(cpus).every(({ cpu }) => (leaveAlone as readonly number[]).includes(cpu)))
          .map(({ id }) => id);
        fc.pre(untouched.length < machine.domains.length);
        const tree: SysfsTree = {
          root: base.root,
          read: (path) => base.read(path),
          list: (path) => base.list(path),
          close: () => base.close(),
          write(path, written) {
            const result = base.write(path, written);
            expect(untouched.filter((id) => path.includes(`/${id}/`))).toEqual([]);
            spared += untouched.length;
            const range = /(policy\d+)\/scaling_(min|max)_freq$/.exec(path);
            if (range !== null && result.ok) {
              const request = asked.get(range[1]!)!;
              request[range[2] as 'min' | 'max'] = Number(written);
              expect(request.min, `${path} ← ${written}`).toBeLessThanOrEqual(request.max);
            }
            if (governing && path.endsWith('/cpuset.cpus')) {
              const cpus = parseCpuList(written) ?? [];
              // A service that is to have all that it had is given that back.
              const givenBack = written === '' || cpus.length === parseCpuList(text(base, `${CPU}/online`))!.length;
              if (!givenBack) {
                granted += 1;
                expect(cpus.filter((cpu) => forbidden.has(cpu))).toEqual([]);
              }
            }
            return result;
          },
        };
        const bench = new ActuatorBench();
        try {
          const owners = ownersOf(tree, threads);
          const locate = () => new Map(Object.entries(SERVICES).map(([service, pid]) => [service, { pids: [pid] }]));
          const actuator = bench.actuator(tree, {
            ...{ method, owners, leaveAlone: () => leaveAlone },
            cores: { locate, method: cores, force: false },
          });
          const services = Object.keys(SERVICES).map((service) => ({ service, minCpus: 1, reserved }));
          const planner = followingPlanner(
            () => actuator.machine,
            (now) => createPlanner(now, { strategy, limits: {}, services, power: null }),
          );
          actuator.engage();
          let at: OperatingPoint = planner.full;
          const faulty: [string, 'read' | 'write'][] = [];
          for (const happens of events) {
            switch (happens.kind) {
              case 'levels': {
                const requests = (['web', 'db'] as const).map((service) => {
                  return { service, level: happens[service], loadRatio: happens.busy };
                });
                at = planner.plan(requests, at).point;
                for (const [service, cpus] of Object.entries(at.cpus)) {
                  expect(
                    cpus.filter((cpu) => forbidden.has(cpu)),
                    service,
                  ).toEqual([]);
                }
                const written = threads.writes.length;
                const applied = actuator.apply(at);
                for (const mask of threads.writes.slice(written)) {
                  const givenBack = mask.length === 1 || mask.length === machine.cpus.length;
                  if (!givenBack) expect(mask.filter((cpu) => forbidden.has(cpu))).toEqual([]);
                }
                for (const { appliedKhz } of applied.frequencies) {
                  if (appliedKhz !== null) expect(appliedKhz).toBeLessThanOrEqual(kiloHertz(operator.maxKhz));
                }
                break;
              }
              case 'policy-fault': {
                const { id } = machine.domains[happens.place % machine.domains.length]!;
                const path = `${CPUFREQ}/${id}/${happens.file}`;
                base.fail(path, happens.operation, happens.errno, happens.times);
                faulty.push([path, happens.operation]);
                break;
              }
              case 'cpuset-fault':
                base.fail(cpusetOf(happens.service), 'write', happens.errno, happens.times);
                faulty.push([cpusetOf(happens.service), 'write']);
                break;
              case 'plug':
                base.write(`${CPU}/cpu${happens.place % machine.cpus.length}/online`, happens.online);
                break;
              case 'time':
                bench.nowMs += happens.seconds * 1000;
            }
            bench.nowMs += 100;
          }
          for (const [path, operation] of faulty) base.fail(path, operation, 'EIO', 0);
          for (const cpu of machine.cpus) base.write(`${CPU}/cpu${cpu}/online`, '1');
          governing = false;
          if (!dies) actuator.release('original');
          if (existsSync(bench.journalPath)) restoreFromJournal({ journalPath: bench.journalPath, tree, owners });
          expect(existsSync(bench.journalPath)).toBe(false);
          expect(stateNow()).toEqual(original);
        } finally {
          bench.remove();
        }
      }),
      { numRuns: 150 },
    );
    // The scenarios do reach what they are to try.
    expect(granted).toBeGreaterThan(0);
    expect(spared).toBeGreaterThan(0);
  }, 60_000);
});
