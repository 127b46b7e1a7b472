import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { CpufreqActuatorOptions } from '../../src/actuator/cpufreq-actuator.ts';
import { readJournal } from '../../src/actuator/journal.ts';
import { restoreFromJournal } from '../../src/actuator/restore.ts';
import type { Actuator, Applied } from '../../src/core/actuator.ts';
import { ActuatorError } from '../../src/core/errors.ts';
import type { SysfsFailure, SysfsTree } from '../../src/core/sysfs-tree.ts';
import { cpuId } from '../../src/core/units.ts';
import type { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { ActuatorBench, CPUFREQ, point } from '../actuator/actuator-bench.ts';
import { FakeThreads, ownersOf } from '../actuator/cores-bench.ts';
import { controlsOf, GOVERNED_MACHINES, operatedMachine, type GovernedMachine } from './governed-machines.ts';
import { figure, SHARE } from './tries.ts';

const ERRNOS = ['EACCES', 'EBUSY', 'EINVAL', 'EIO', 'ENODEV', 'ENOENT', 'ENOSPC', 'EROFS', 'EAGAIN'] as const;
const PHASES = ['discover', 'engage', 'apply', 'release', 'restore'] as const;
/** Once, as while a driver is being exchanged; and for as long as the phase lasts. */
const TIMES = [1, Infinity] as const;
const STRIDE = SHARE > 0 ? Math.max(1, Math.round(1 / SHARE)) : 397;

const CPUSET = 'fs/cgroup/batch/web/cpuset.cpus';

type Phase = (typeof PHASES)[number];
interface Operation {
  readonly phase: Phase;
  readonly operation: SysfsFailure['operation'];
  readonly path: string;
}

/** With a service in a control group of its own, whose CPUs are governed, too. */
function machineWithService(name: string): MemoryTree {
  const tree = operatedMachine(name);
  tree.add([
    ['fs/cgroup/cgroup.controllers', 'cpuset'],
    ['fs/cgroup/cpuset.cpus.effective', ''],
    [CPUSET, ''],
    [`${CPUSET}.effective`, ''],
    ['fs/cgroup/batch/web/cgroup.procs', '500'],
  ]);
  return tree;
}

class Life {
  readonly base: MemoryTree;
  readonly bench = new ActuatorBench();
  readonly before: readonly string[];
  readonly failed = new Set<string>();
  readonly applied: Applied[] = [];
  readonly #machine: GovernedMachine;
  readonly #threads = new FakeThreads();

  constructor(machine: GovernedMachine) {
    this.#machine = machine;
    this.base = machineWithService(machine.name);
    this.#threads.add(500, '/batch/web', [[0, 1]]);
    this.before = this.state();
  }

  state(): readonly string[] {
    const cpus = this.base.read(`${CPUSET}.effective`);
    return [...controlsOf(this.base), `${CPUSET}.effective=${cpus.ok ? cpus.value : cpus.errno}`];
  }

  /** @param enters told when a phase begins; @returns what kept it from governing */
  live(tree: SysfsTree, enters: (phase: Phase) => void): ActuatorError | null {
    const { bench } = this;
    const owners = ownersOf(tree, this.#threads);
    const { method, boost } = this.#machine;
    const cores: CpufreqActuatorOptions['cores'] = {
      locate: () => new Map([['web', { pids: [500] }]]),
      method: 'auto',
      force: false,
    };
    let actuator: Actuator;
    try {
      enters('discover');
      actuator = bench.actuator(tree, { method, boost, cores, owners });
      enters('engage');
      actuator.engage();
    } catch (error) {
      if (error instanceof ActuatorError) return error;
      throw error;
    }
    enters('apply');
    for (const share of [0.4, 1, 0.7, 0.4, 0.8, 0.3]) {
      bench.nowMs += 2_000;
      const asked = actuator.machine.domains.map(({ id, maxKhz }) => [id, Math.round(maxKhz * share)] as const);
      const cpus = { web: share > 0.5 ? [cpuId(0), cpuId(1)] : [cpuId(1)] };
      this.applied.push(actuator.apply({ ...point(Object.fromEntries(asked)), cpus }));
    }
    enters('release');
    for (const { control, outcome } of actuator.release('original')) {
      if (outcome === 'failed' || outcome === 'gone') this.failed.add(control);
    }
    return null;
  }

  restore(tree: SysfsTree, enters: (phase: Phase) => void): void {
    enters('restore');
    const owners = ownersOf(tree, this.#threads);
    const results = restoreFromJournal({ journalPath: this.bench.journalPath, tree, owners });
    for (const { control, outcome } of results) if (outcome === 'gone') this.failed.add(control);
  }
}

/** Everything that a life asks of the first two policies and of the rest of the machine, by phase. */
function operationsOf(machine: GovernedMachine): readonly Operation[] {
  const life = new Life(machine);
  const found = new Map<string, Operation>();
  let phase: Phase = 'discover';
  const note = (operation: Operation['operation'], path: string) => {
    const other = /\/(?:policy|cpu)(\d+)(?:\/|$)/.exec(path)?.[1] ?? '0';
    if (Number(other) <= 1) found.set(`${phase} ${operation} ${path}`, { phase, operation, path });
  };
  const tree: SysfsTree = {
    root: life.base.root,
    read: (path) => (note('read', path), life.base.read(path)),
    write: (path, text) => (note('write', path), life.base.write(path, text)),
    list: (path) => (note('list', path), life.base.list(path)),
    close: () => undefined,
  };
  const enters = (entered: Phase) => (phase = entered);
  try {
    expect(life.live(tree, enters)).toBeNull();
    // A journal is needed for a restore, so this one begins with a daemon that has died.
    const died = new Life(machine);
    died.bench.actuator(died.base, { method: machine.method, boost: machine.boost }).engage();
    const releases = [...found.values()].filter((operation) => operation.phase === 'release');
    for (const { operation, path } of releases)
      found.set(`restore ${operation} ${path}`, { phase: 'restore', operation, path });
    died.bench.remove();
    return [...found.values()];
  } finally {
    life.bench.remove();
  }
}

function attack(machine: GovernedMachine, { phase, operation, path }: Operation, errno: string, times: number): void {
  const what = `${machine.name} ${machine.method} boost ${machine.boost}: ${operation} ${path} ${errno} ×${times} in ${phase}`;
  const life = new Life(machine);
  const { base, bench } = life;
  try {
    const lift = () => base.fail(path, operation, errno, 0);
    const enters = (entered: Phase) => (entered === phase ? base.fail(path, operation, errno, times) : lift());
    if (phase === 'restore') {
      bench.actuator(base, { method: machine.method, boost: machine.boost }).engage();
    } else {
      const refusal = life.live(base, enters);
      if (phase === 'apply') expect(refusal, what).toBeNull();
    }
    lift();

    // What still works goes on: the other policies have what was asked.
    for (const { frequencies } of life.applied.slice(-1)) {
      for (const { domain, outcome } of frequencies) {
        const concerned = path.includes(`/${domain}/`) || !/\/(?:policy|cpu)\d+/.test(path);
        if (phase === 'apply' && !concerned)
          expect(['applied', 'unchanged', 'clamped'], `${what}: ${domain}`).toContain(outcome);
      }
    }
    // The operator is told once.
    const warnings = bench.log.filter((line) => line.startsWith('warn'));
    expect(warnings, what).toEqual([...new Set(warnings)]);
    expect(warnings.length, `${what}\n${warnings.join('\n')}`).toBeLessThanOrEqual(4);

    if (existsSync(bench.journalPath)) {
      expect(readJournal(bench.journalPath)?.damagedLines, what).toEqual([]);
      if (phase === 'restore') life.restore(base, enters);
      lift();
      life.restore(base, () => undefined);
    }
    expect(existsSync(bench.journalPath), what).toBe(false);
    // Who cannot be told from a policy that is away, with its range, is not asked for it; nor moves it without its switch.
    const away =
      machine.boost !== 'leave' &&
      ['EBUSY', 'ENODEV', 'ENOENT'].includes(errno) &&
      /scaling_m|no_turbo|boost/.test(path);
    const none = path.endsWith('energy_performance_preference') && ['ENOENT', 'EINVAL'].includes(errno);
    if (away || none) return;
    const gone = [...life.failed].map((control) => control.replace('devices/system/cpu/cpufreq/', ''));
    const kept = (state: readonly string[]) => state.filter((text) => !gone.some((control) => text.includes(control)));
    expect(
      kept(life.state()).filter((line, at) => line !== kept(life.before)[at]),
      what,
    ).toEqual([]);
    expect(kept(life.state()), what).toEqual(kept(life.before));
  } finally {
    bench.remove();
  }
}

describe('an operation that fails', () => {
  it(
    'in any phase with any error stops nothing else, is said once, and leaves nothing changed',
    { timeout: 900_000 },
    () => {
      let turn = 0;
      let tried = 0;
      const found: string[] = [];
      for (const machine of GOVERNED_MACHINES) {
        for (const operation of operationsOf(machine)) {
          for (const errno of ERRNOS) {
            for (const times of TIMES) {
              if (turn++ % STRIDE !== 0) continue;
              tried += 1;
              try {
                attack(machine, operation, errno, times);
              } catch (error) {
                found.push(error instanceof Error ? error.message : String(error));
              }
            }
          }
        }
      }
      expect(found.length, `${found.length} of ${tried}:\n${found.slice(0, 25).join('\n\n')}`).toBe(0);
      expect(tried).toBeGreaterThan(100);
      figure('one operation fails', { tried, of: turn, errnos: ERRNOS.length, phases: PHASES.length });
    },
  );

  // Found by the attack above. Each read fails once.
  it.each([
    [
      'a policy that cannot be governed keeps its range when boost is switched',
      'cap',
      'off',
      'engage',
      'scaling_governor',
      'EIO',
    ],
    ['and so does one that is found a moment later', 'cap', 'off', 'discover', 'affected_cpus', 'EAGAIN'],
    ['and the operator’s maximum under setspeed', 'setspeed', 'off', 'discover', 'scaling_driver', 'EINVAL'],
    [
      'a preference that cannot be read is not given up',
      'cap',
      'leave',
      'engage',
      'energy_performance_preference',
      'EIO',
    ],
    [
      'preferences that cannot be read are not written as something else',
      'epp',
      'leave',
      'engage',
      'energy_performance_available_preferences',
      'EIO',
    ],
  ] as const)('%s', (_, method, boost, phase, file, errno) => {
    for (const machine of GOVERNED_MACHINES.filter((each) => each.method === method && each.boost === boost)) {
      attack(machine, { phase, operation: 'read', path: `${CPUFREQ}/policy1/${file}` }, errno, 1);
    }
  });
});
