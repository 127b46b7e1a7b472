import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { discoverDomains } from '../../src/actuator/discover-machine.ts';
import { FREQUENCY_METHODS, offers } from '../../src/actuator/frequency-method.ts';
import { readJournal } from '../../src/actuator/journal.ts';
import { restoreFromJournal } from '../../src/actuator/restore.ts';
import type { SysfsFailure, SysfsTree } from '../../src/core/sysfs-tree.ts';
import type { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';
import { ActuatorBench, CPU, CPUFREQ, memory, observed, point, policiesOf, shows } from './actuator-bench.ts';

const MACHINES = [
  'acpi-cpufreq-qemu-2c',
  'amd-pstate-qemu-2c',
  'amd-pstate-active-16c',
  'arm-cpufreq-dt-3-policies-8c',
  'intel-pstate-i7-1165g7-8c',
  'intel-pstate-passive-8c',
];

/** A policy, by its place among the machine's; a value, by its share of the machine's highest frequency. */
const place = fc.nat(100);
const share = fc.double({ min: 0, max: 1.2, noNaN: true });
const rangeFile = fc.constantFrom('scaling_max_freq', 'scaling_min_freq', 'scaling_setspeed');
const governor = fc.constantFrom('performance', 'powersave', 'schedutil', 'userspace');
const preference = fc.constantFrom('performance', 'balance_power', 'power');

const event = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('level'), share }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('fault'),
      place,
      file: fc.oneof(rangeFile, fc.constantFrom('scaling_governor', 'energy_performance_preference', 'affected_cpus')),
      operation: fc.constantFrom('read' as const, 'write' as const),
      errno: fc.constantFrom('EIO', 'EBUSY', 'EINVAL', 'EACCES', 'EAGAIN', 'ENODEV', 'ENOSPC', 'EROFS'),
      times: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('plug'), place, online: fc.constantFrom('0', '1') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('foreign-range'), place, file: rangeFile, share }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('foreign-governor'), place, text: governor }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('foreign-preference'), place, text: preference }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('foreign-boost'), text: fc.constantFrom('0', '1') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('time'), seconds: fc.nat(700) }) },
);

const scenario = fc.record({
  machine: fc.constantFrom(...MACHINES),
  method: fc.constantFrom('auto' as const, ...FREQUENCY_METHODS),
  boost: fc.constantFrom('leave' as const, 'on' as const, 'off' as const),
  foreignWriter: fc.constantFrom('yield' as const, { overridesPerMinute: 2 }),
  operator: fc.record({ minShare: share, maxShare: share, governor, preference }),
  events: fc.array(event, { maxLength: 14 }),
  dies: fc.boolean(),
});

const BOOST_FILES = [`${CPUFREQ}/boost`, `${CPU}/intel_pstate/no_turbo`];
const textOf = (tree: SysfsTree, path: string) => {
  const result = tree.read(path);
  return result.ok ? result.value : result.errno;
};
const cpusOf = (tree: MemoryTree) => {
  const names = tree.list(CPU);
  return names.ok ? names.value.filter((name) => tree.read(`${CPU}/${name}/online`).ok) : [];
};
const highestKhz = (tree: MemoryTree) =>
  Math.max(...policiesOf(tree).map((policy) => Number(shows(tree, 'cpuinfo_max_freq', policy)) || 0));

describe('whatever happens', () => {
  it('every control has its original effect afterwards, and nothing is written that is not in the journal', () => {
    fc.assert(
      fc.property(scenario, ({ machine, method, boost, foreignWriter, operator, events, dies }) => {
        const base = memory(machine);
        const khz = highestKhz(base);
        const write = (policy: string, file: string, text: string) => base.write(`${CPUFREQ}/${policy}/${file}`, text);
        write('policy0', 'scaling_min_freq', String(Math.round(operator.minShare * khz)));
        write('policy0', 'scaling_max_freq', String(Math.round(operator.maxShare * khz)));
        for (const policy of policiesOf(base)) {
          write(policy, 'energy_performance_preference', operator.preference);
          write(policy, 'scaling_governor', operator.governor);
        }
        const policies = discoverDomains(base).flatMap((domain) => domain.policies);
        fc.pre(method === 'auto' || policies.every((policy) => offers(method, policy)));
        const bench = new ActuatorBench();
        try {
          const originals = new Map<string, string>();
          const remember = () => {
            for (const { control } of readJournal(bench.journalPath)?.records ?? []) {
              if (!originals.has(control)) originals.set(control, textOf(base, control));
            }
          };
          const written = new Set<string>();
          const tree = observed(base, (path) => {
            // Before a first write its original is on disk, and is still what the file reads.
            if (!written.has(path) && !originals.has(path)) remember();
            written.add(path);
          });
          const actuator = bench.actuator(tree, { method, boost, foreignWriter });
          actuator.engage();
          remember();
          const faulty: [string, SysfsFailure['operation']][] = [];
          for (const happens of events) {
            const names = policiesOf(base);
            const at = (index: number) => names[index % names.length]!;
            // What the method does not write is somebody else's, and stays as they leave it.
            const interfere = (path: string, text: string) => originals.has(path) && base.write(path, text);
            const controlAt = (index: number, file: string) => `${CPUFREQ}/${at(index)}/${file}`;
            switch (happens.kind) {
              case 'fault': {
                const path = controlAt(happens.place, happens.file);
                base.fail(path, happens.operation, happens.errno, happens.times);
                faulty.push([path, happens.operation]);
                break;
              }
              case 'plug': {
                const cpus = cpusOf(base);
                base.write(`${CPU}/${cpus[happens.place % cpus.length]}/online`, happens.online);
                break;
              }
              case 'foreign-range':
                interfere(controlAt(happens.place, happens.file), String(Math.round(happens.share * khz)));
                break;
              case 'foreign-governor':
                interfere(controlAt(happens.place, 'scaling_governor'), happens.text);
                break;
              case 'foreign-preference':
                interfere(controlAt(happens.place, 'energy_performance_preference'), happens.text);
                break;
              case 'foreign-boost':
                for (const path of BOOST_FILES) interfere(path, happens.text);
                break;
              case 'time':
                bench.nowMs += happens.seconds * 1000;
                break;
              case 'level': {
                const asked = actuator.machine.domains.map(({ id }) => [id, Math.round(happens.share * khz)] as const);
                const applied = actuator.apply(point(Object.fromEntries(asked)));
                for (const { domain, outcome } of applied.frequencies)
                  expect([domain, outcome]).not.toContain(undefined);
              }
            }
            bench.nowMs += 100;
          }
          for (const [path, operation] of faulty) base.fail(path, operation, 'EIO', 0);
          for (const cpu of cpusOf(base)) base.write(`${CPU}/${cpu}/online`, '1');
          if (!dies) actuator.release('original');
          if (existsSync(bench.journalPath)) restoreFromJournal({ journalPath: bench.journalPath, tree });
          expect(existsSync(bench.journalPath)).toBe(false);
          const after = [...originals.keys()].map((control) => [control, textOf(base, control)]);
          expect(after).toEqual([...originals]);
          // A speed means nothing, and has no original, but under governor userspace.
          const meaningful = [...written].filter((path) => originals.has(path) || !path.endsWith('/scaling_setspeed'));
          for (const path of meaningful) expect([...originals.keys()]).toContain(path);
        } finally {
          bench.remove();
        }
      }),
      { numRuns: 120 },
    );
  }, 60_000);
});

/** Takes every text as it is, as a directory on disk does that no kernel stands behind. */
function literalTree(files: Map<string, string>, onWrite: (path: string) => void): SysfsTree {
  const names = memory('acpi-cpufreq-qemu-2c');
  return {
    root: 'literal',
    read(path) {
      const value = files.get(path);
      return value === undefined ? { ok: false, operation: 'read', path, errno: 'ENOENT' } : { ok: true, value };
    },
    write(path, text) {
      files.set(path, text);
      onWrite(path);
      return { ok: true, value: undefined };
    },
    list: (path) => names.list(path),
    close: () => names.close(),
  };
}

describe('no write', () => {
  it('ever leaves a minimum above its maximum', () => {
    const step = fc.constantFrom(1_200_000, 1_600_000, 2_000_000, 2_400_000, 2_800_000, 3_200_000);
    const range = fc.tuple(step, step).map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }));
    const steps = fc.array(fc.record({ khz: step, foreign: fc.option(range) }), { maxLength: 10 });
    const response = fc.constantFrom('yield' as const, { overridesPerMinute: 3 });
    const methods = FREQUENCY_METHODS.filter((method) => method !== 'epp');
    const onExit = fc.constantFrom('original' as const, 'max' as const, 'leave' as const);
    fc.assert(
      fc.property(fc.constantFrom(...methods), range, steps, response, onExit, (...[method, ...rest]) => {
        const [operator, levels, foreignWriter, exit] = rest;
        const files = new Map(shippedMock('acpi-cpufreq-qemu-2c').files);
        const minPath = `${CPUFREQ}/policy0/scaling_min_freq`;
        const maxPath = `${CPUFREQ}/policy0/scaling_max_freq`;
        const set = ({ min, max }: { min: number; max: number }) =>
          files.set(minPath, String(min)).set(maxPath, String(max));
        set(operator);
        const bench = new ActuatorBench();
        try {
          const tree = literalTree(files, (path) => {
            expect(Number(files.get(minPath)), path).toBeLessThanOrEqual(Number(files.get(maxPath)));
          });
          const actuator = bench.actuator(tree, { method, foreignWriter, journalPath: null });
          actuator.engage();
          for (const { khz, foreign } of levels) {
            // A minimum that is not ours to write stays where it is.
            if (foreign !== null && method === 'pin') set(foreign);
            else if (foreign !== null) set({ min: operator.min, max: Math.max(operator.min, foreign.max) });
            actuator.apply(point({ policy0: khz }));
          }
          actuator.release(exit);
          if (exit === 'original' && method !== 'setspeed') expect(files.get(maxPath)).toBe(String(operator.max));
        } finally {
          bench.remove();
        }
      }),
      { numRuns: 300 },
    );
  });
});
