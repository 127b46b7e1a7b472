import { basename, dirname } from 'node:path/posix';
import type { RestoredControl } from '../core/actuator.ts';
import type { SysfsFailure, SysfsTree } from '../core/sysfs-tree.ts';
import { realTree } from '../sysfs/real-tree.ts';
import { readBootId } from './boot-id.ts';
import { readJournal, refuseOther, removeJournal, type ControlRecord } from './journal.ts';

export interface RestoreOptions {
  readonly journalPath: string;
  /** By default the tree that the journal names. */
  readonly tree?: SysfsTree;
  /** Of this boot, by default what the kernel says. */
  readonly bootId?: string;
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
}: RestoreOptions): readonly RestoredControl[] {
  const journal = readJournal(journalPath);
  if (journal === null) {
    removeJournal(journalPath);
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
    const results = [...restoreControls(target, records), ...damaged];
    if (results.every(({ outcome }) => outcome !== 'failed')) removeJournal(journalPath);
    return results;
  } finally {
    if (tree === undefined) target.close();
  }
}

/**
 * Every control is written, also one that shows its original already: behind `scaling_min_freq` and `scaling_max_freq` the
 * kernel may hold another request, which would come to light later. What counts is what they show when all are written.
 */
export function restoreControls(tree: SysfsTree, records: readonly ControlRecord[]): readonly RestoredControl[] {
  const first = firstOfEach(records).sort((a, b) => a.order - b.order);
  const attempts = withoutInversion(tree, first).map((record) => {
    const before = tree.read(record.control);
    const write = tree.write(record.control, record.original);
    return { record, before, write };
  });
  return attempts.map(({ record: { control, original }, before, write }): RestoredControl => {
    const after = tree.read(control);
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

/** What was written down first is the original. */
function firstOfEach(records: readonly ControlRecord[]): ControlRecord[] {
  const byControl = new Map<string, ControlRecord>();
  for (const record of records) if (!byControl.has(record.control)) byControl.set(record.control, record);
  return [...byControl.values()];
}

/** A minimum goes before its maximum where the maximum would fall below the minimum that is there. */
function withoutInversion(tree: SysfsTree, records: readonly ControlRecord[]): readonly ControlRecord[] {
  const ordered = [...records];
  for (const max of records.filter(({ control }) => basename(control) === 'scaling_max_freq')) {
    const minPath = `${dirname(max.control)}/scaling_min_freq`;
    const min = records.find(({ control }) => control === minPath);
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
