import { discoverDomains } from '../../src/actuator/discover-machine.ts';
import { FREQUENCY_METHODS, METHOD_KINDS, offers, type FrequencyMethod } from '../../src/actuator/frequency-method.ts';
import type { BoostChoice } from '../../src/actuator/boost-switch.ts';
import type { Actuator } from '../../src/core/actuator.ts';
import type { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import {
  CPU,
  CPUFREQ,
  memory,
  point,
  policiesOf,
  shows,
  stateOf,
  type ActuatorBench,
} from '../actuator/actuator-bench.ts';

const MACHINES = [
  'acpi-cpufreq-qemu-2c',
  'amd-pstate-qemu-2c',
  'amd-pstate-active-16c',
  'arm-cpufreq-dt-3-policies-8c',
  'intel-pstate-i7-1165g7-8c',
  'intel-pstate-passive-8c',
];

export interface GovernedMachine {
  readonly name: string;
  readonly method: FrequencyMethod;
  readonly boost: BoostChoice;
}

/** Every driver that is shipped, with every method that it offers, boost left alone and switched off. */
export const GOVERNED_MACHINES: readonly GovernedMachine[] = MACHINES.flatMap((name) => {
  const policies = discoverDomains(memory(name)).flatMap((domain) => domain.policies);
  const methods = FREQUENCY_METHODS.filter((method) => policies.every((policy) => offers(method, policy)));
  const boosts = ['leave', 'off'] as const;
  return methods.flatMap((method) => boosts.map((boost) => ({ name, method, boost })));
});

/** The machine as an operator has set it: no file at what its kernel begins with, as far as it lets itself be changed. */
export function operatedMachine(name: string): MemoryTree {
  const tree = memory(name);
  for (const policy of policiesOf(tree)) {
    const khz = Number(shows(tree, 'cpuinfo_max_freq', policy));
    const minKhz = Number(shows(tree, 'cpuinfo_min_freq', policy));
    const write = (file: string, text: string) => tree.write(`${CPUFREQ}/${policy}/${file}`, text);
    write('energy_performance_preference', 'balance_power');
    write('scaling_governor', 'powersave');
    write('scaling_max_freq', String(Math.round(khz * 0.9)));
    write('scaling_min_freq', String(Math.round(minKhz + (khz - minKhz) * 0.2)));
  }
  return tree;
}

/** Every control, those of the whole machine included. */
export const controlsOf = (tree: MemoryTree) => [
  ...stateOf(tree).flat(),
  ...[`${CPUFREQ}/boost`, `${CPU}/intel_pstate/no_turbo`].map((path) => {
    const result = tree.read(path);
    return `${path}=${result.ok ? result.value : result.errno}`;
  }),
];

/** A short life: takes the controls, goes up and down, meets another writer, loses a CPU and finds it again, gives all back. */
export function lifeOf(actuator: Actuator, bench: ActuatorBench, base: MemoryTree): void {
  actuator.engage();
  // What the method does not write stays as the other writer leaves it.
  const { files } = METHOD_KINDS[actuator.method as FrequencyMethod];
  const apply = (share: number) => {
    bench.nowMs += 2_000;
    const asked = actuator.machine.domains.map(({ id, maxKhz }) => [id, Math.round(maxKhz * share)] as const);
    actuator.apply(point(Object.fromEntries(asked)));
  };
  apply(0.3);
  apply(1);
  base.write(`${CPUFREQ}/policy0/${files[0]}`, String(Number(shows(base, 'cpuinfo_max_freq')) - 100_000));
  apply(0.6);
  base.write(`${CPU}/cpu1/online`, '0');
  apply(0.4);
  base.write(`${CPU}/cpu1/online`, '1');
  apply(0.5);
  actuator.release('original');
}
