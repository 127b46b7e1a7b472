import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { ActuatorError, messageOf } from '../core/errors.ts';
import { isRunning } from './process-identity.ts';

const headerSchema = z.strictObject({
  version: z.literal(1),
  bootId: z.string(),
  pid: z.int().positive(),
  startTicks: z.int().nonnegative(),
  sysfsRoot: z.string(),
});
const recordSchema = z.strictObject({
  /** The file's path below the sysfs root; of other kinds the unit or the thread: `unit/NAME`, `thread/TID`. */
  control: z.string().min(1),
  /** What the control is; absent: a file of cpufreq. */
  kind: z.enum(['cpuset', 'unit', 'thread']).optional(),
  /** Of a thread: when it started, in ticks since the boot, which tells it from a later one of the same id. */
  startTicks: z.int().nonnegative().optional(),
  original: z.string(),
  /** Controls are restored by ascending order, then as they were written. */
  order: z.int(),
  /**
   * The policy's driver at the time. Under another one the original means something else (`powersave` follows the load under
   * active intel_pstate, and is the lowest speed under every other driver), and all settings have begun anew.
   */
  driver: z.string().optional(),
});

/** Who took the controls, when (the boot), and below which root they are. */
export type JournalHeader = z.infer<typeof headerSchema>;
export type ControlRecord = z.infer<typeof recordSchema>;

export interface JournalContents {
  readonly header: JournalHeader;
  readonly records: readonly ControlRecord[];
  /** Numbers, from 1, of whole lines that are no records. */
  readonly damagedLines: readonly number[];
}

/**
 * The originals of every control that was taken, on disk before the first of them is written: JSON lines, a header first.
 * It lies in a directory that only its owner may enter, because whoever can write it can make root write sysfs files.
 */
export class Journal {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Appears at once and whole, or not at all. A journal whose owner has died is replaced: whoever calls has restored from
   * it, and hands over in `records` what could not be restored.
   * @throws ActuatorError `already-governed` where its owner runs, `journal-failed` where it cannot be written
   */
  static create(path: string, header: JournalHeader, records: readonly ControlRecord[]): Journal {
    const before = readJournal(path);
    if (before !== null) refuseOther(path, before.header, header);
    const temporary = `${path}.${header.pid}.tmp`;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      rmSync(temporary, { force: true });
      writeDurably(temporary, constants.O_CREAT | constants.O_EXCL, [header, ...records]);
      // A link, unlike a rename, fails where another daemon was quicker.
      if (before === null && !isStump(path)) linkSync(temporary, path);
      else renameSync(temporary, path);
      rmSync(temporary, { force: true });
      syncDirectory(dirname(path));
      return new Journal(path);
    } catch (error) {
      rmSync(temporary, { force: true });
      const winner = readJournal(path);
      if (winner !== null) refuseOther(path, winner.header, header);
      throw journalFailed('write', path, error);
    }
  }

  /** Durable when it returns. @throws ActuatorError `journal-failed` */
  append(records: readonly ControlRecord[]): void {
    try {
      writeDurably(this.path, constants.O_APPEND, records);
    } catch (error) {
      throw journalFailed('append to', this.path, error);
    }
  }

  /**
   * Leaves out what is over. As durable as before, at every moment: the shorter one takes the place of the longer.
   * @throws ActuatorError `journal-failed`, and it is as it was
   */
  shorten(isOver: (record: ControlRecord) => boolean): void {
    const before = readJournal(this.path);
    // Of a damaged line nobody knows what it held: that is for whoever restores to say.
    if (before === null || before.damagedLines.length > 0) return;
    const temporary = `${this.path}.${before.header.pid}.tmp`;
    try {
      rmSync(temporary, { force: true });
      const records = before.records.filter((record) => !isOver(record));
      writeDurably(temporary, constants.O_CREAT | constants.O_EXCL, [before.header, ...records]);
      renameSync(temporary, this.path);
      syncDirectory(dirname(this.path));
    } catch (error) {
      rmSync(temporary, { force: true });
      throw journalFailed('shorten', this.path, error);
    }
  }

  /** @throws ActuatorError `journal-failed` */
  remove(): void {
    removeJournal(this.path);
  }
}

/**
 * A last line that was cut short is left out: its control was not taken yet, since a record is on disk before its control is
 * written.
 * @returns null where there is no journal, or not even a whole header in it: nothing was taken
 * @throws ActuatorError `journal-failed` where it cannot be read or does not begin with a header
 */
export function readJournal(path: string): JournalContents | null {
  let text: string;
  try {
    text = readOwn(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw journalFailed('read', path, error);
  }
  const lines = text.split('\n');
  const wholeLines = lines.slice(0, -1);
  const [first, ...rest] = wholeLines.map(parseLine);
  if (first === undefined) return null;
  const header = headerSchema.safeParse(first);
  if (!header.success) throw journalFailed('read', path, 'line 1 is no journal header');
  const records: ControlRecord[] = [];
  const damagedLines: number[] = [];
  for (const [index, line] of rest.entries()) {
    const record = recordSchema.safeParse(line);
    if (record.success) records.push(record.data);
    else damagedLines.push(index + 2);
  }
  return { header: header.data, records, damagedLines };
}

/** What it says is written with our rights: it has to be ours, or root's, and nobody else's to write. @throws Error */
function readOwn(path: string): string {
  // Not a FIFO, which would be waited for.
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile()) throw new Error('it is not a regular file');
    const own = status.uid === 0 || status.uid === process.geteuid?.();
    if (!own) throw new Error(`it belongs to user ${status.uid}, expected root or whoever restores`);
    const mode = status.mode & 0o7777;
    if ((mode & 0o022) !== 0)
      throw new Error(`others can write it (mode ${mode.toString(8)}), expected it without go+w`);
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

/** A file without a whole header: no journal comes to be so, since each appears whole, but a disk can lose its end. */
function isStump(path: string): boolean {
  return existsSync(path) && readJournal(path) === null;
}

/** Removing one that is not there is no error. @throws ActuatorError `journal-failed` */
export function removeJournal(path: string): void {
  try {
    rmSync(path, { force: true });
    syncDirectory(dirname(path));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw journalFailed('remove', path, error);
  }
}

/** The process that took the controls runs still, in this boot. */
export function ownerRuns(header: JournalHeader, bootId: string): boolean {
  return header.bootId === bootId && isRunning(header);
}

/** @throws ActuatorError `already-governed` where the owner runs and is not this process */
export function refuseOther(path: string, owner: JournalHeader, self: { pid: number; bootId: string }): void {
  if (owner.pid === self.pid || !ownerRuns(owner, self.bootId)) return;
  throw new ActuatorError(
    'already-governed',
    `touch the controls below ${owner.sysfsRoot}: process ${owner.pid} governs them (journal ${path}); stop it first`,
  );
}

function writeDurably(path: string, flags: number, lines: readonly object[]): void {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | flags, 0o600);
  const { size } = fstatSync(descriptor);
  try {
    const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    for (let written = 0; written < bytes.length;) written += writeSync(descriptor, bytes, written);
    fsyncSync(descriptor);
  } catch (error) {
    // Half a line would swallow the next one that is appended.
    ftruncateSync(descriptor, size);
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

function syncDirectory(path: string): void {
  const descriptor = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** null for a line that is no JSON, which no schema takes. */
function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function journalFailed(action: string, path: string, cause: unknown): ActuatorError {
  return new ActuatorError('journal-failed', `${action} the journal ${path}: ${messageOf(cause)}`, { cause });
}
