import { basename, dirname } from 'node:path/posix';
import type { RestoredControl } from '../core/actuator.ts';
import type { SysfsFailure, SysfsTree } from '../core/sysfs-tree.ts';
import { GLOBAL_BOOST } from '../sysfs/cpufreq-paths.ts';
import { realTree } from '../sysfs/real-tree.ts';
import { anotherThan } from './another-request.ts';
import { readBootId } from './boot-id.ts';
import { kernelOwners, type CpuOwners } from './cpu-owners.ts';
import { readJournal, refuseOther, removeJournal, type ControlRecord } from './journal.ts';
import { restoreCpus } from './restore-cpus.ts';

export interface RestoreOptions {
  readonly journalPath: string;
  /** By default the tree that the journal names. */
  readonly tree?: SysfsTree;
  /** Of this boot, by default what the kernel says. */
  readonly bootId?: string;
  /** By default the kernel and systemd. */
  readonly owners?: CpuOwners;
  /** The journal stays, for who governs is not gone yet and may write once more: whoever comes afterwards restores again. */
  readonly keepJournal?: boolean;
}

/**
 * Brings every control of the journal back to its original, one by one, and removes the journal when none failed. Can be
 * repeated. An empty list means that nothing was taken.
 * @throws ActuatorError `already-governed` where another process that runs took the controls, `journal-failed` where the
 *   journal cannot be read or removed
 */
export function restoreFromJournal({
  journalPath,
  tree,
  bootId = readBootId(),
  owners = kernelOwners,
  keepJournal = false,
}: RestoreOptions): readonly RestoredControl[] {
  const journal = readJournal(journalPath);
  if (journal === null) {
    if (!keepJournal) removeJournal(journalPath);
    return [];
  }
  const { header, records, damagedLines } = journal;
  refuseOther(journalPath, header, { pid: process.pid, bootId });
  if (header.bootId !== bootId) {
    removeJournal(journalPath);
    const detail = 'the machine was booted since: the kernel began with its own settings';
    return records.map(({ control }) => ({ control, outcome: 'gone', detail }));
  }
  const target = tree ?? realTree(header.sysfsRoot);
  try {
    const damaged = damagedLines.map((line): RestoredControl => {
      return { control: `${journalPath}:${line}`, outcome: 'failed', detail: 'no journal record, expected one' };
    });
    const results = [...restoreControls(target, records, owners), ...damaged];
    if (!keepJournal && results.every(({ outcome }) => outcome !== 'failed')) removeJournal(journalPath);
    return results;
  } finally {
    if (tree === undefined) target.close();
  }
}

/** How long, in all, the kernel is given to apply what was written before it is told what became of it. */
const PATIENCE_MS = 20;
const POLL_MS = 2;

/**
 * Every control is written, also one that shows its original already: behind `scaling_min_freq` and `scaling_max_freq` the
 * kernel may hold another request, which would come to light later. What counts is what they show when all are written.
 */
export function restoreControls(
  tree: SysfsTree,
  records: readonly ControlRecord[],
  owners: CpuOwners = kernelOwners,
): readonly RestoredControl[] {
  // Every CPU first: at full speed or not, nothing else gives a service as much back.
  const cpus = restoreCpus(tree, firstOfEach(records.filter(({ kind }) => kind !== undefined)), owners);
  return [
    ...cpus,
    ...restoreFrequencies(
      tree,
      records.filter(({ kind }) => kind === undefined),
    ),
  ];
}

function restoreFrequencies(tree: SysfsTree, records: readonly ControlRecord[]): readonly RestoredControl[] {
  const first = firstOfEach(records).sort((a, b) => a.order - b.order);
  const attempts = withoutInversion(tree, first).map((record) => {
    if (hasOtherDriver(tree, record)) return { record, before: null, write: null };
    const before = tree.read(record.control);
    if (before.ok && before.value === record.original && record.control === GLOBAL_BOOST) switchOver(tree, record);
    return { record, before, write: writeTwice(tree, record) };
  });
  let patience = PATIENCE_MS / POLL_MS;
  return attempts.map(({ record, before, write }): RestoredControl => {
    const { control, original } = record;
    if (write === null) {
      return { control, outcome: 'gone', detail: `another driver than ${record.driver} began with its own settings` };
    }
    let after = tree.read(control);
    // The kernel leaves new limits to a worker, which may not have come to it yet.
    while (write.ok && after.ok && after.value !== original && patience > 0) {
      patience -= 1;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL_MS);
      after = tree.read(control);
    }
    if (write.ok && after.ok && after.value !== original) after = bringToSight(tree, record);
    if (after.ok && after.value === original) {
      return { control, outcome: before.ok && before.value === original ? 'already' : 'restored' };
    }
    if (write.ok && after.ok) {
      // The kernel took the request; a limit that is not ours, such as the firmware's, stands before it.
      return { control, outcome: 'restored', detail: `reads ${after.value}, asked ${original}` };
    }
    const { operation, errno } = write.ok ? (after as SysfsFailure) : write;
    const outcome = errno === 'ENOENT' || errno === 'ENODEV' ? 'gone' : 'failed';
    return { control, outcome, detail: `${operation} ${original}: ${errno}` };
  });
}

/**
 * A CPU that comes makes amd-pstate (Linux 6.1) show boost as on, while the other CPUs stay without; to write what shows would
 * change nothing.
 */
function switchOver(tree: SysfsTree, { control, original }: ControlRecord): void {
  tree.write(control, original === '1' ? '0' : '1');
}

/** What stands already and does not show. */
function bringToSight(tree: SysfsTree, { control, original }: ControlRecord) {
  const another = anotherThan(basename(control), original);
  if (another !== null && tree.write(control, another).ok) tree.write(control, original);
  return tree.read(control);
}

/** intel_pstate answers EAGAIN while its driver is being exchanged. */
function writeTwice(tree: SysfsTree, { control, original }: ControlRecord) {
  const write = tree.write(control, original);
  return write.ok || write.errno !== 'EAGAIN' ? write : tree.write(control, original);
}

function hasOtherDriver(tree: SysfsTree, { control, driver }: ControlRecord): boolean {
  if (driver === undefined) return false;
  const now = tree.read(`${dirname(control)}/scaling_driver`);
  return now.ok && now.value !== driver;
}

/** What was written down first is the original; of each driver, should it have changed while we governed. */
function firstOfEach(records: readonly ControlRecord[]): ControlRecord[] {
  const byControl = new Map<string, ControlRecord>();
  for (const record of records) {
    const key = `${record.control} ${record.driver ?? ''} ${record.startTicks ?? ''}`;
    if (!byControl.has(key)) byControl.set(key, record);
  }
  return [...byControl.values()];
}

/** A minimum goes before its maximum where the maximum would fall below the minimum that is there. */
function withoutInversion(tree: SysfsTree, records: readonly ControlRecord[]): readonly ControlRecord[] {
  const ordered = [...records];
  for (const max of records.filter(({ control }) => basename(control) === 'scaling_max_freq')) {
    const minPath = `${dirname(max.control)}/scaling_min_freq`;
    const min = records.find(({ control, driver }) => control === minPath && driver === max.driver);
    const now = tree.read(minPath);
    if (min === undefined || !now.ok) continue;
    const maxFirst = Number(max.original) >= Number(now.value);
    const [earlier, later] = maxFirst ? [max, min] : [min, max];
    const places = [ordered.indexOf(max), ordered.indexOf(min)].sort((a, b) => a - b);
    ordered[places[0]!] = earlier;
    ordered[places[1]!] = later;
  }
  return ordered;
}
