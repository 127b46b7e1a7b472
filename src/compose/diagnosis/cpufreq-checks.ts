import { canGovernCores } from '../../actuator/affinity-methods.ts';
import { findBoostSwitch } from '../../actuator/boost-switch.ts';
import { discoverDomains } from '../../actuator/discover-machine.ts';
import { knownWriters } from '../../actuator/foreign-writers.ts';
import { describeMethods } from '../../actuator/frequency-method.ts';
import type { SysfsTree } from '../../core/sysfs-tree.ts';
import { formatKhz } from '../../core/units.ts';
import { policyDirectory } from '../../sysfs/cpufreq-paths.ts';
import type { Finding } from './finding.ts';

/** The driver and what it offers; then the method, governors, preferences and boost, where there is a driver. */
export function cpufreqChecks(tree: SysfsTree): readonly Finding[] {
  const domains = discoverDomains(tree);
  const first = domains[0]?.domain;
  if (first === undefined) {
    const cores = canGovernCores(tree);
    return [
      {
        check: 'frequency',
        state: cores ? 'degraded' : 'missing',
        detail: `no cpufreq policy below ${tree.root}${cores ? ': the CPUs of services can be governed, their frequency cannot' : ''}`,
        remedy: `virtual machines seldom have cpufreq; on hardware look for P-states in the firmware settings, or try --dry-run with a mock machine${cores ? '; with planner.strategy cores or pack tailgov governs CPUs alone' : ''}`,
      },
    ];
  }
  const policies = domains.flatMap(({ policies: ids }) => ids.map(({ id }) => id));
  const driver = tree.read(`${policyDirectory(first.id)}/scaling_driver`);
  const steps = first.stepsKhz === null ? 'any frequency' : `${first.stepsKhz.length} steps`;
  const minKhz = Math.min(...domains.map(({ domain }) => domain.minKhz));
  const maxKhz = Math.max(...domains.map(({ domain }) => domain.maxKhz));
  return [
    {
      check: 'frequency',
      state: 'ok',
      detail: `${driver.ok ? driver.value : 'unnamed driver'}, ${domains.length} domains, ${formatKhz(minKhz)} to ${formatKhz(maxKhz)}, ${steps}`,
    },
    ...method(tree),
    ...inUse(tree, policies, 'governor', 'scaling_governor'),
    ...inUse(tree, policies, 'energy preference', 'energy_performance_preference'),
    ...boost(tree),
  ];
}

/** Which method `auto` takes, and what is with the others. */
function method(tree: SysfsTree): readonly Finding[] {
  const all = describeMethods(tree);
  const chosen = all.find((each) => each.chosen);
  if (chosen === undefined) return [];
  return [
    {
      check: 'method',
      state: 'ok',
      detail: `${chosen.method} (${chosen.summary}): ${chosen.reason}`,
      alternatives: all.filter((each) => each !== chosen).map(({ method: name, reason }) => `${name}: ${reason}`),
    },
  ];
}

/** What a file of the policies says at present: the values, and how many policies have each. */
function inUse(tree: SysfsTree, policies: readonly string[], check: string, file: string): readonly Finding[] {
  const counts = new Map<string, number>();
  for (const id of policies) {
    const text = tree.read(`${policyDirectory(id)}/${file}`);
    if (text.ok) counts.set(text.value, (counts.get(text.value) ?? 0) + 1);
  }
  if (counts.size === 0) return [];
  const [only] = counts.keys();
  const detail =
    counts.size === 1
      ? only!
      : [...counts].map(([value, count]) => `${value} (${count} ${count === 1 ? 'policy' : 'policies'})`).join(', ');
  return [{ check, state: 'ok', detail: `${detail} at present` }];
}

function boost(tree: SysfsTree): readonly Finding[] {
  const found = findBoostSwitch(tree);
  if (found === null) return [];
  const state = found.shown === found.textOf('on') ? 'on' : 'off';
  return [{ check: 'boost', state: 'ok', detail: `${state} (${found.path})` }];
}

/** @param commands the names of the processes that run */
export function otherWritersCheck(tree: SysfsTree, commands: readonly string[]): readonly Finding[] {
  const known = discoverDomains(tree).length === 0 ? [] : knownWriters(commands);
  if (known.length === 0) return [];
  return [
    {
      check: 'other writers',
      state: 'degraded',
      detail: `running, and known to write cpufreq files: ${known.join(', ')}`,
      remedy:
        'let one program govern the CPUs; what is done about writes of others is set by actuators.frequency.foreignWriter',
    },
  ];
}
