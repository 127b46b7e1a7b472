import { kiloHertz, type CpuId, type KiloHertz } from '../core/units.ts';
import type { CpuPlace, FrequencyDomain, Machine } from '../core/machine.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import { parseCpuList } from '../core/cpu-list.ts';
import { preferencesAmong } from './energy-preference.ts';
import { CPU_DIRECTORY, CPUFREQ_DIRECTORY, NO_TURBO, NODE_DIRECTORY, policyDirectory } from '../sysfs/cpufreq-paths.ts';

/** One cpufreq policy as it stands; a frequency domain is made of one or more. */
export interface PolicyInfo {
  /** `policy0` */
  readonly id: string;
  /** The online CPUs that it governs. */
  readonly cpus: readonly CpuId[];
  readonly minKhz: KiloHertz;
  readonly maxKhz: KiloHertz;
  readonly allowedMinKhz: KiloHertz;
  readonly allowedMaxKhz: KiloHertz;
  /** Ascending; null where any frequency of the range can be asked for. */
  readonly stepsKhz: readonly KiloHertz[] | null;
  readonly governors: readonly string[];
  /** At present. */
  readonly governor: string;
  /** The energy preferences whose order is known, slowest first; none where the driver has none. */
  readonly preferences: readonly string[];
  /** `acpi-cpufreq`, `intel_cpufreq`, … */
  readonly driver: string;
  /** What to restore: the operator's maximum, also where the firmware or a switch of turbo hides it at present. */
  readonly originalMaxKhz: KiloHertz;
}

/** A domain, and the policies that have to be written for it. */
export interface DomainPolicies {
  readonly domain: FrequencyDomain;
  readonly policies: readonly PolicyInfo[];
}

/** What of the machine behind `tree` can be governed now; no domains where there is no cpufreq driver. */
export function discoverMachine(tree: SysfsTree): Machine {
  return machineOf(tree, discoverDomains(tree));
}

export function machineOf(tree: SysfsTree, discovered: readonly DomainPolicies[]): Machine {
  const domains = discovered.map(({ domain }) => domain);
  const online = cpusIn(tree, `${CPU_DIRECTORY}/online`);
  const cpus = online.length > 0 ? online : domains.flatMap((domain) => domain.cpus);
  return { cpus, domains, places: placesOf(tree, cpus) };
}

/** See Documentation/admin-guide/cputopology.rst. */
function placesOf(tree: SysfsTree, cpus: readonly CpuId[]): readonly CpuPlace[] {
  const nodes = tree.list(NODE_DIRECTORY);
  const nodeOf = new Map<CpuId, number>();
  for (const name of nodes.ok ? nodes.value : []) {
    const node = /^node(\d+)$/.exec(name)?.[1];
    if (node === undefined) continue;
    for (const cpu of cpusIn(tree, `${NODE_DIRECTORY}/${name}/cpulist`)) nodeOf.set(cpu, Number(node));
  }
  return cpus.map((cpu) => {
    const topology = `${CPU_DIRECTORY}/cpu${cpu}/topology`;
    const siblings = cpusIn(tree, `${topology}/thread_siblings_list`);
    const packageId = tree.read(`${topology}/physical_package_id`);
    const number = packageId.ok ? Number.parseInt(packageId.value, 10) : NaN;
    return { cpu, core: siblings[0] ?? cpu, node: nodeOf.get(cpu) ?? 0, package: number >= 0 ? number : 0 };
  });
}

/**
 * Policies grouped by whose clocks move together, in the order of their lowest policy.
 * @param adjust what is known better of a policy than its files show now
 */
export function discoverDomains(
  tree: SysfsTree,
  adjust: (found: PolicyInfo) => PolicyInfo | null = (found) => found,
): readonly DomainPolicies[] {
  const names = tree.list(CPUFREQ_DIRECTORY);
  if (!names.ok) return [];
  const policies = names.value
    .filter((name) => /^policy\d+$/.test(name))
    .flatMap((name) => readPolicy(tree, name) ?? [])
    .flatMap((policy) => adjust(policy) ?? []);
  let groups: { members: PolicyInfo[]; together: Set<CpuId> }[] = [];
  for (const policy of policies) {
    const siblings = new Set(clockSiblings(tree, policy));
    const joined = groups.filter((group) => intersects(group.together, siblings));
    groups = groups.filter((group) => !joined.includes(group));
    groups.push({
      members: [...joined.flatMap((group) => group.members), policy],
      together: new Set([...joined.flatMap((group) => [...group.together]), ...siblings]),
    });
  }
  const byNumber = (a: PolicyInfo, b: PolicyInfo) => policies.indexOf(a) - policies.indexOf(b);
  return groups
    .map((group) => group.members.sort(byNumber))
    .map((members) => ({ domain: domainOf(members), policies: members }))
    .sort((a, b) => byNumber(a.policies[0]!, b.policies[0]!));
}

/**
 * Where its policies differ, the domain reaches as far as any of them: the clock follows the highest demand, and each
 * policy is kept in its own range when it is written.
 */
function domainOf(policies: readonly PolicyInfo[]): FrequencyDomain {
  const lowest = (pick: (policy: PolicyInfo) => number) => kiloHertz(Math.min(...policies.map(pick)));
  const highest = (pick: (policy: PolicyInfo) => number) => kiloHertz(Math.max(...policies.map(pick)));
  const steps = policies.flatMap((policy) => policy.stepsKhz ?? []);
  return {
    id: policies[0]!.id,
    cpus: policies.flatMap((policy) => policy.cpus).sort((a, b) => a - b),
    minKhz: lowest((policy) => policy.minKhz),
    maxKhz: highest((policy) => policy.maxKhz),
    allowedMinKhz: lowest((policy) => policy.allowedMinKhz),
    allowedMaxKhz: highest((policy) => policy.allowedMaxKhz),
    stepsKhz: policies.some((policy) => policy.stepsKhz === null) ? null : [...new Set(steps)].sort((a, b) => a - b),
  };
}

/** @returns null where the policy's CPUs are offline (EBUSY, or none affected) or its files are no policy's */
function readPolicy(tree: SysfsTree, id: string): PolicyInfo | null {
  const directory = policyDirectory(id);
  const text = (file: string) => {
    const result = tree.read(`${directory}/${file}`);
    return result.ok ? result.value : '';
  };
  const khz = (file: string) => Number.parseInt(text(file), 10);
  const cpus = parseCpuList(text('affected_cpus')) ?? [];
  const [hardwareMin, hardwareMax] = [khz('cpuinfo_min_freq'), khz('cpuinfo_max_freq')];
  const [scalingMin, scalingMax] = [khz('scaling_min_freq'), khz('scaling_max_freq')];
  if (cpus.length === 0 || [hardwareMin, hardwareMax, scalingMin, scalingMax].some(Number.isNaN)) return null;

  const [driver, governor] = [text('scaling_driver'), text('scaling_governor')];
  const words = (file: string) =>
    text(file)
      .split(/\s+/)
      .filter((word) => word !== '');
  // Frequencies of boost have a list of their own (cpufreq_frequency_table_attr) and count while boost is on.
  const boosted = words('scaling_boost_frequencies').map(Number);
  const steps = [
    ...words('scaling_available_frequencies').map(Number),
    ...boosted.filter((step) => step <= hardwareMax),
  ];
  steps.sort((a, b) => a - b);
  // With boost a driver may show a hardware maximum that is above what can be asked for.
  const maxKhz = Math.min(hardwareMax, steps.at(-1) ?? Infinity);
  const shows = (limitKhz: number) => hidesMaximum(limitKhz, scalingMax, maxKhz, steps);
  const turbo = tree.read(NO_TURBO);
  const noTurbo = turbo.ok && turbo.value === '1' && shows(khz('base_frequency'));
  // The firmware's limit may be lifted at any time, and is no reason to plan with less; no_turbo is the operator's will.
  const operatorKhz = shows(khz('bios_limit')) ? maxKhz : scalingMax;
  return {
    id,
    cpus,
    minKhz: kiloHertz(hardwareMin),
    maxKhz: kiloHertz(maxKhz),
    allowedMinKhz: kiloHertz(Math.min(scalingMin, operatorKhz)),
    allowedMaxKhz: kiloHertz(operatorKhz),
    stepsKhz: steps.length === 0 ? null : steps.map(kiloHertz),
    governors: words('scaling_available_governors'),
    governor,
    preferences: preferencesAmong(words('energy_performance_available_preferences'), driver, governor),
    driver,
    originalMaxKhz: kiloHertz(noTurbo ? maxKhz : operatorKhz),
  };
}

/**
 * True where the maximum that shows is what somebody else's limit leaves at present, which hides the operator's. It is then
 * taken that the operator set none.
 */
function hidesMaximum(limitKhz: number, scalingMaxKhz: number, maxKhz: number, steps: readonly number[]): boolean {
  if (Number.isNaN(limitKhz) || limitKhz >= maxKhz) return false;
  return scalingMaxKhz >= (steps.findLast((step) => step <= limitKhz) ?? limitKhz);
}

/** True where none of the CPUs whose clocks the policy decides about may be touched. */
export const isLeftAlone = (tree: SysfsTree, policy: PolicyInfo, cpus: readonly number[]): boolean =>
  cpus.length > 0 && clockSiblings(tree, policy).every((cpu) => cpus.includes(cpu));

/** CPUs whose clocks move with this policy's: what the driver says (freqdomain_cpus), and SMT threads of one core. */
function clockSiblings(tree: SysfsTree, policy: PolicyInfo): readonly CpuId[] {
  return [
    ...policy.cpus,
    ...cpusIn(tree, `${policyDirectory(policy.id)}/freqdomain_cpus`),
    ...policy.cpus.flatMap((cpu) => cpusIn(tree, `${CPU_DIRECTORY}/cpu${cpu}/topology/thread_siblings_list`)),
  ];
}

function cpusIn(tree: SysfsTree, path: string): readonly CpuId[] {
  const result = tree.read(path);
  return result.ok ? (parseCpuList(result.value) ?? []) : [];
}

const intersects = <T>(a: ReadonlySet<T>, b: ReadonlySet<T>) => [...a].some((item) => b.has(item));
