import { Command } from 'commander';
import { readBootId } from '../actuator/boot-id.ts';
import { ownerRuns, readJournal } from '../actuator/journal.ts';
import { restoreFromJournal } from '../actuator/restore.ts';
import type { RestoredControl } from '../core/actuator.ts';
import { realTree } from '../sysfs/real-tree.ts';
import { journalIn, runtimeOption } from './runtime-directory.ts';

/** The guardian starts us when the daemon's files are closed, a moment before the process itself is gone. */
const OWNER_PATIENCE_MS = 3_000;
const POLL_MS = 50;

interface RestoreFlags {
  readonly sysfs?: string;
  readonly runtime: string;
  readonly json?: boolean;
}

export function restoreCommand(): Command {
  return new Command('restore')
    .description('put every control back that a daemon which has ended left changed')
    .option('--sysfs <directory>', 'what plays /sys (default: what the journal names)')
    .addOption(runtimeOption())
    .option('--json', 'print one object: {"journal","controls":[{"control","outcome","detail"}]}')
    .addHelpText('after', '\nExample:\n  sudo tailgov restore\n\nExit code 1 when a control could not be restored.')
    .action(({ sysfs, runtime, json = false }: RestoreFlags) => {
      const journalPath = journalIn(runtime);
      const bootId = readBootId();
      awaitOwner(journalPath, bootId);
      const tree = sysfs === undefined ? undefined : realTree(sysfs);
      const controls = restoreFromJournal({ journalPath, bootId, ...(tree === undefined ? {} : { tree }) });
      tree?.close();
      process.stdout.write(
        json ? `${JSON.stringify({ journal: journalPath, controls })}\n` : report(journalPath, controls),
      );
      if (controls.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1;
    });
}

/** One that goes on running makes the restoring itself fail. */
function awaitOwner(journalPath: string, bootId: string): void {
  for (let waitedMs = 0; waitedMs < OWNER_PATIENCE_MS; waitedMs += POLL_MS) {
    const owner = readJournal(journalPath)?.header;
    if (owner === undefined || owner.pid === process.pid || !ownerRuns(owner, bootId)) return;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL_MS);
  }
}

function report(journalPath: string, controls: readonly RestoredControl[]): string {
  if (controls.length === 0) return `nothing to restore: no control was taken (no journal at ${journalPath})\n`;
  const lines = controls.map(({ control, outcome, detail }) => {
    return `${outcome.padEnd(8)}  ${control}${detail === undefined ? '' : `  (${detail})`}`;
  });
  const failed = controls.filter(({ outcome }) => outcome === 'failed').length;
  const summary =
    failed === 0
      ? `all ${controls.length} controls are as they were`
      : `${failed} of ${controls.length} controls could not be restored; the journal ${journalPath} is kept`;
  return `${[...lines, summary].join('\n')}\n`;
}
