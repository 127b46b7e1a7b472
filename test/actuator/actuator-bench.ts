import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCpufreqActuator, type CpufreqActuatorOptions } from '../../src/actuator/cpufreq-actuator.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { OperatingPoint } from '../../src/core/machine.ts';
import type { SysfsTree } from '../../src/core/sysfs-tree.ts';
import { kiloHertz } from '../../src/core/units.ts';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import type { MockMachine } from '../../src/sysfs/mock-machine.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';

export const CPU = 'devices/system/cpu';
export const CPUFREQ = `${CPU}/cpufreq`;
/** Every file of a policy that any method changes. */
export const CONTROLS = ['scaling_governor', 'scaling_min_freq', 'scaling_max_freq', 'energy_performance_preference'];

/** A folder for the journal, a clock that stands still, and what was logged. Every policy is looked at in every application. */
export class ActuatorBench {
  readonly directory = mkdtempSync(join(tmpdir(), 'tailgov-actuator-'));
  readonly journalPath = join(this.directory, 'journal');
  readonly log: string[] = [];
  processes: string[] = [];
  nowMs = 0;
  readonly clock: Clock = {
    monotonicNs: () => BigInt(Math.round(this.nowMs * 1e6)),
    wallMs: () => this.nowMs,
  };

  actuator(tree: SysfsTree, options: Partial<CpufreqActuatorOptions> = {}) {
    return createCpufreqActuator({
      tree,
      journalPath: this.journalPath,
      method: 'auto',
      clock: this.clock,
      listProcesses: () => this.processes,
      log: (level, message) => this.log.push(`${level}: ${message}`),
      lookRoundMs: 0,
      ...options,
    });
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }
}

export const memory = (name: string) => new MemoryTree(shippedMock(name));

/** A shipped machine with some of its files changed, or without them (null). */
export function changed(name: string, changes: Readonly<Record<string, string | null>>): MemoryTree {
  const machine = shippedMock(name);
  const files = new Map(machine.files);
  for (const [path, text] of Object.entries(changes)) {
    if (text === null) files.delete(path);
    else files.set(path, text);
  }
  const altered: MockMachine = { ...machine, files };
  return new MemoryTree(altered);
}

export const point = (khzByDomain: Readonly<Record<string, number>>): OperatingPoint => ({
  frequencyKhz: Object.fromEntries(Object.entries(khzByDomain).map(([id, khz]) => [id, kiloHertz(khz)])),
  cpus: {},
});

export const shows = (tree: SysfsTree, file: string, policy = 'policy0') => {
  const result = tree.read(`${CPUFREQ}/${policy}/${file}`);
  return result.ok ? result.value : result.errno;
};

export const policiesOf = (tree: SysfsTree) => {
  const names = tree.list(CPUFREQ);
  return names.ok ? names.value.filter((name) => name.startsWith('policy')) : [];
};

/** What every control shows. */
export const stateOf = (tree: SysfsTree) =>
  policiesOf(tree).map((policy) => CONTROLS.map((file) => `${policy}/${file}=${shows(tree, file, policy)}`));

/** Passes everything on, and notes each write. */
export function observed(base: SysfsTree, onWrite: (path: string, text: string) => void): SysfsTree {
  return {
    root: base.root,
    read: (path) => base.read(path),
    write: (path, text) => {
      onWrite(path, text);
      return base.write(path, text);
    },
    list: (path) => base.list(path),
    close: () => base.close(),
  };
}
