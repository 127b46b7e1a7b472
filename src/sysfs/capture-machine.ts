import type { SysfsTree } from '../core/sysfs-tree.ts';
import { CPU_DIRECTORY, CPUFREQ_DIRECTORY, INTEL_PSTATE_DIRECTORY } from './cpufreq-paths.ts';

const EACH_CPU: readonly string[] = ['online', 'topology', 'acpi_cppc', 'cpu_capacity'];
/** Deeper than anything that is looked at; keeps a loop of links from never ending. */
const DEEPEST = 4;

/**
 * The files of the machine behind `tree` that tell what can be governed on it: cpufreq, topology, the names of its idle states,
 * energy counters and cooling devices, memory nodes. Nothing that names the machine or counts its use: no serial numbers,
 * no host name, no energy, no time in a state.
 */
export function captureMachine(tree: SysfsTree): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const names = (path: string) => {
    const result = tree.list(path);
    return result.ok ? result.value : [];
  };
  const file = (path: string) => {
    const result = tree.read(path);
    // What may not be read, or not now (the policy of an offline CPU), is left out.
    if (result.ok) files.set(path, result.value);
  };
  const all = (path: string, depth = 0) => {
    const result = tree.list(path);
    if (!result.ok) file(path);
    else if (depth < DEEPEST) for (const name of result.value) if (name !== 'stats') all(`${path}/${name}`, depth + 1);
  };

  for (const name of ['online', 'offline', 'possible', 'present', 'isolated', 'nohz_full', 'smt']) {
    all(`${CPU_DIRECTORY}/${name}`);
  }
  for (const name of names(CPU_DIRECTORY).filter((entry) => /^cpu\d+$/.test(entry))) {
    for (const part of EACH_CPU) all(`${CPU_DIRECTORY}/${name}/${part}`);
  }
  all(CPUFREQ_DIRECTORY);
  all(INTEL_PSTATE_DIRECTORY);
  all(`${CPU_DIRECTORY}/amd_pstate`);
  all(`${CPU_DIRECTORY}/cpuidle`);
  // The states of all CPUs are those of the first, or the list would be longer than everything else.
  for (const state of names(`${CPU_DIRECTORY}/cpu0/cpuidle`)) file(`${CPU_DIRECTORY}/cpu0/cpuidle/${state}/name`);
  for (const zone of names('class/powercap')) {
    file(`class/powercap/${zone}/name`);
    file(`class/powercap/${zone}/max_energy_range_uj`);
  }
  for (const device of names('class/thermal').filter((name) => name.startsWith('cooling_device'))) {
    for (const name of ['type', 'max_state', 'cur_state']) file(`class/thermal/${device}/${name}`);
  }
  for (const node of names('devices/system/node').filter((name) => /^node\d+$/.test(name))) {
    file(`devices/system/node/${node}/cpulist`);
  }
  return files;
}
