import { dirname } from 'node:path/posix';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import type { CpuId } from '../core/units.ts';
import { formatCpuList, parseCpuList } from '../core/cpu-list.ts';
import { CPU_DIRECTORY } from '../sysfs/cpufreq-paths.ts';
import { cgroup2Root, cpusetFile, CPUSET1, effectiveFile, ownerOf, parseCgroups } from './cgroup-paths.ts';
import type { CpuOwners } from './cpu-owners.ts';
import type { ControlRecord } from './journal.ts';
import type { ServicePlace } from '../core/service-place.ts';

/** `unit`: AllowedCPUs of a unit of systemd. `cgroup2`, `cgroup1`: a cpuset. `threads`: the mask of each thread. */
export type AffinityMethod = 'unit' | 'cgroup2' | 'cgroup1' | 'threads';

/** What the CPUs of one service are set on. */
export interface CpuControl {
  readonly method: AffinityMethod;
  /** For humans: `AllowedCPUs of nginx.service`. */
  readonly name: string;
  /** What has to be put back, before the first write; null where it cannot be read. Threads have theirs one by one. */
  original(): ControlRecord | null;
  /** The processes that it decides about: of a control group more than those that listen. */
  pids(): readonly number[];
  /** The CPUs that it has now; null where that cannot be read. */
  effective(): readonly CpuId[] | null;
  /** @returns null when done, or why not */
  write(cpus: readonly CpuId[]): string | null;
}

/** CPUs come back after all else has found its place: a cpuset first, then the threads in it. */
const CPUSET_ORDER = 0;
export const THREAD_ORDER = 1;

export interface ControlChoice {
  readonly tree: SysfsTree;
  readonly owners: CpuOwners;
  readonly method: 'auto' | AffinityMethod;
  /** Also where a kubelet manages the control group. */
  readonly force: boolean;
}

/**
 * The first of systemd, a cpuset of version 2, one of version 1 and the threads' own masks that is the service's alone and that
 * the method allows.
 * @returns why not, where there is none
 */
export function chooseControl(choice: ControlChoice, place: ServicePlace): CpuControl | { readonly refusal: string } {
  const { tree, owners, method, force } = choice;
  const pid = place.pids[0];
  const own = parseCgroups(owners.threads.cgroupsOf(process.pid));
  const of = parseCgroups(pid === undefined ? [] : owners.threads.cgroupsOf(pid));
  const together = (key: 'v2' | 'cpuset') =>
    place.pids.every((other) => parseCgroups(owners.threads.cgroupsOf(other))[key] === of[key]);
  const v2 = place.cgroup ?? of.v2;
  const allows = (kind: AffinityMethod) => method === 'auto' || method === kind;
  const reasons: string[] = [];

  const owner = v2 === null ? null : ownerOf(v2, owners.units.present);
  const kubelet = [v2, of.cpuset].find((path) => path !== null && ownerOf(path, false).kind === 'kubelet');
  if (kubelet !== undefined && !force) {
    return { refusal: `a kubelet manages ${kubelet}; set actuators.affinity.force to override it` };
  }
  const alone = v2 !== null && (place.cgroup !== undefined || (v2 !== own.v2 && together('v2')));
  if (allows('unit')) {
    const root = cgroup2Root(tree);
    if (place.unit !== undefined && owners.units.present) {
      return unitControl(tree, owners, place.unit, v2 ?? `/system.slice/${place.unit}`, place);
    }
    if (owner?.kind === 'unit' && alone && root === 'fs/cgroup') {
      return unitControl(tree, owners, owner.unit, owner.cgroup, place);
    }
    reasons.push('no unit of systemd is the service’s alone');
  }
  if (allows('cgroup2')) {
    const root = cgroup2Root(tree);
    const file = v2 === null || root === null ? null : cpusetFile(v2, root);
    const ours = owner !== null && ['delegated', 'foreign', 'kubelet'].includes(owner.kind) && alone;
    if (ours && file !== null && tree.read(file).ok) return cpusetControl(tree, 'cgroup2', file, place);
    reasons.push(ours ? `no ${file}` : 'no delegated or foreign control group of version 2 is the service’s alone');
  }
  if (allows('cgroup1')) {
    const file = of.cpuset === null || of.cpuset === '/' ? null : cpusetFile(of.cpuset, CPUSET1);
    if (file !== null && of.cpuset !== own.cpuset && together('cpuset') && tree.read(file).ok) {
      return cpusetControl(tree, 'cgroup1', file, place);
    }
    reasons.push('no cpuset of version 1 is the service’s alone');
  }
  if (allows('threads')) return threadsControl(tree, owners, place);
  return { refusal: `${reasons.join('; ')} (method ${method})` };
}

function unitControl(
  tree: SysfsTree,
  { units }: CpuOwners,
  unit: string,
  cgroup: string,
  place: ServicePlace,
): CpuControl {
  return {
    method: 'unit',
    name: `AllowedCPUs of ${unit}`,
    original() {
      const original = units.allowedCpus(unit);
      // The control group's path is in the name: what is in force can be read from it at restoring.
      return original === null
        ? null
        : { control: `unit/${unit}${cgroup}`, original, order: CPUSET_ORDER, kind: 'unit' };
    },
    pids: () => pidsIn(tree, cpusetFile(cgroup), place),
    effective: () => effectiveCpus(tree, cpusetFile(cgroup)),
    write: (cpus) => units.setAllowedCpus(unit, formatCpuList(cpus), cgroup),
  };
}

function cpusetControl(tree: SysfsTree, method: 'cgroup1' | 'cgroup2', file: string, place: ServicePlace): CpuControl {
  return {
    method,
    name: file,
    original() {
      const original = tree.read(file);
      return original.ok ? { control: file, original: original.value, order: CPUSET_ORDER, kind: 'cpuset' } : null;
    },
    pids: () => pidsIn(tree, file, place),
    effective: () => effectiveCpus(tree, file),
    write(cpus) {
      const write = tree.write(file, formatCpuList(cpus));
      return write.ok ? null : write.errno;
    },
  };
}

/** Those of the cpuset, too: whoever is in it is narrowed with the service. */
function pidsIn(tree: SysfsTree, file: string, { pids }: ServicePlace): readonly number[] {
  const procs = tree.read(`${dirname(file)}/cgroup.procs`);
  const inside = procs.ok ? procs.value.split('\n').filter((line) => line !== '') : [];
  return [...new Set([...pids, ...inside.map(Number)])];
}

/** The masks are written thread by thread, by whoever keeps their originals. */
function threadsControl(tree: SysfsTree, { threads }: CpuOwners, place: ServicePlace): CpuControl {
  return {
    method: 'threads',
    name: `the threads of ${place.pids.length === 1 ? 'process' : 'processes'} ${place.pids.join(', ')}`,
    original: () => null,
    pids: () => place.pids,
    effective() {
      const masks = place.pids.flatMap((pid) => threads.maskOf(pid) ?? []);
      const online = onlineCpus(tree);
      const cpus = [...new Set(masks)].sort((a, b) => a - b) as CpuId[];
      return masks.length === 0 ? null : online === null ? cpus : cpus.filter((cpu) => online.includes(cpu));
    },
    write: () => null,
  };
}

/** Of the cpuset, or of the first above it that says so: one without the controller runs where its parent does. */
export function effectiveCpus(tree: SysfsTree, file: string): readonly CpuId[] | null {
  for (let at = file; ; at = `${dirname(dirname(at))}/cpuset.cpus`) {
    const result = tree.read(effectiveFile(at));
    if (result.ok) return parseCpuList(result.value) ?? null;
    if (!dirname(at).includes('/', 'fs/cgroup'.length)) return onlineCpus(tree);
  }
}

export function onlineCpus(tree: SysfsTree): readonly CpuId[] | null {
  const online = tree.read(`${CPU_DIRECTORY}/online`);
  return online.ok ? (parseCpuList(online.value) ?? null) : null;
}
