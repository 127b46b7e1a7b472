import { dirname } from 'node:path/posix';
import type { RestoredControl } from '../core/actuator.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import { formatCpuList, parseCpuList } from '../core/cpu-list.ts';
import { cpusetFile } from './cgroup-paths.ts';
import { effectiveCpus } from './cpu-control.ts';
import type { CpuOwners } from './cpu-owners.ts';
import type { ControlRecord } from './journal.ts';
import { tidOf } from './thread-masks.ts';

/** Gives services their CPUs back, cpusets before the threads in them. What is restored is the effect. */
export function restoreCpus(
  tree: SysfsTree,
  records: readonly ControlRecord[],
  owners: CpuOwners,
): readonly RestoredControl[] {
  const ordered = [...records].sort((a, b) => a.order - b.order);
  return ordered.map((record) => {
    switch (record.kind) {
      case 'unit':
        return restoreUnit(tree, record, owners);
      case 'thread':
        return restoreThread(record, owners);
      default:
        return restoreCpuset(tree, record);
    }
  });
}

/** The kernel takes no empty text from a cpuset that has tasks (ENOSPC), and none with a CPU that is away (EINVAL). */
function restoreCpuset(tree: SysfsTree, { control, original }: ControlRecord): RestoredControl {
  const before = tree.read(control);
  if (!before.ok) return failed(control, `read: ${before.errno}`, before.errno);
  if (before.value === original) return { control, outcome: 'already' };
  const write = tree.write(control, original);
  if (write.ok) return { control, outcome: 'restored' };
  const above = effectiveCpus(tree, `${dirname(dirname(control))}/cpuset.cpus`) ?? [];
  const wanted = parseCpuList(original) ?? [];
  // Empty means whatever the parent has.
  const cpus = wanted.length === 0 ? above : above.filter((cpu) => wanted.includes(cpu));
  const list = formatCpuList(cpus.length === 0 ? above : cpus);
  const second = tree.write(control, list);
  if (!second.ok) return failed(control, `write ${JSON.stringify(original)}: ${write.errno}`, write.errno);
  const detail = `the kernel refuses the original ${JSON.stringify(original)} (${write.errno}): ${list} has the same effect`;
  return { control, outcome: 'restored', detail };
}

function restoreUnit(tree: SysfsTree, { control, original }: ControlRecord, { units }: CpuOwners): RestoredControl {
  const match = /^unit\/([^/]+)(\/.*)$/.exec(control);
  if (match === null) return { control, outcome: 'failed', detail: 'no unit, expected unit/NAME/CGROUP' };
  const [unit, cgroup] = [match[1]!, match[2]!];
  const now = units.allowedCpus(unit);
  if (now === null) return { control, outcome: 'gone', detail: 'systemd does not know the unit' };
  const runs = tree.list(dirname(cpusetFile(cgroup))).ok;
  const complaint = now === original ? null : units.setAllowedCpus(unit, original, cgroup);
  if (complaint !== null) return { control, outcome: runs ? 'failed' : 'gone', detail: complaint };
  if (!runs)
    return { control, outcome: now === original ? 'already' : 'restored', detail: 'for the unit’s next start' };
  const above = effectiveCpus(tree, cpusetFile(dirname(cgroup)));
  const has = effectiveCpus(tree, cpusetFile(cgroup));
  if (original !== '' || above === null || has === null || has.length === above.length) {
    return { control, outcome: now === original ? 'already' : 'restored' };
  }
  const list = formatCpuList(above);
  const second = units.setAllowedCpus(unit, list, cgroup);
  if (second !== null) return { control, outcome: 'failed', detail: second };
  return { control, outcome: 'restored', detail: `without AllowedCPUs it keeps ${formatCpuList(has)}: set to ${list}` };
}

function restoreThread({ control, original, startTicks }: ControlRecord, { threads }: CpuOwners): RestoredControl {
  const tid = tidOf(control);
  const start = threads.startOf(tid);
  if (start === null) return { control, outcome: 'gone', detail: 'the thread has ended' };
  if (start !== startTicks)
    return { control, outcome: 'gone', detail: 'the thread has ended, and another has its number' };
  const cpus = parseCpuList(original) ?? [];
  const same = () => formatCpuList(threads.maskOf(tid) ?? []) === original;
  if (same()) return { control, outcome: 'already' };
  const errno = threads.setMask(tid, cpus);
  if (errno === 'ESRCH') return { control, outcome: 'gone', detail: 'the thread has ended' };
  if (errno !== null) return failed(control, `set ${original}: ${errno}`, errno);
  if (same()) return { control, outcome: 'restored' };
  // CPUs that its cpuset does not have, or that are away.
  const has = formatCpuList(threads.maskOf(tid) ?? []);
  return { control, outcome: 'restored', detail: `runs on ${has}, asked ${original}` };
}

function failed(control: string, detail: string, errno: string): RestoredControl {
  return { control, outcome: errno === 'ENOENT' || errno === 'ENODEV' ? 'gone' : 'failed', detail };
}
