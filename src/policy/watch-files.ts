import { createHash } from 'node:crypto';
import { type FSWatcher, realpathSync, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { PolicyError } from '../core/errors.ts';
import { readText } from './yaml-file.ts';

export interface WatchOptions {
  /** A file is looked at when nothing has happened near it for so long: editors write in several steps. */
  readonly settleMs?: number;
  /** However quiet it is, the files are looked at so often: not every file system tells, nor of every change. */
  readonly pollMs?: number;
  /** The contents of some of the files are not what they were when it was last called. */
  readonly onChange: () => void;
}

/**
 * Watches the contents of files, whichever way they change: edited in place, renamed over, or behind a symbolic link that is
 * set anew, as Kubernetes does with the `..data` of a ConfigMap. It is the directories that are watched, since a watch on a
 * file stays with the old one when another takes its name.
 */
export class FileWatch {
  readonly #options: Required<WatchOptions>;
  #files: readonly string[] = [];
  #contents = '';
  /** By directory, with what tells it from a later one of the same name. */
  readonly #watchers = new Map<string, { readonly identity: string; readonly watcher: FSWatcher }>();
  #settling: NodeJS.Timeout | undefined;
  readonly #polling: NodeJS.Timeout;

  constructor(options: WatchOptions) {
    this.#options = { settleMs: 100, pollMs: 5000, ...options };
    this.#polling = setInterval(() => this.#look(), this.#options.pollMs).unref();
  }

  /** @param known the files to watch, with the texts that are known already; null: it could not be read */
  watch(known: ReadonlyMap<string, string | null>): void {
    this.#files = [...known.keys()];
    this.#contents = digestOf(known);
    this.#watchDirectories();
    // What has changed since it was read is found without waiting for another event.
    this.#settle();
  }

  /** How many directories are watched. */
  get directories(): number {
    return this.#watchers.size;
  }

  close(): void {
    clearInterval(this.#polling);
    clearTimeout(this.#settling);
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #look(): void {
    clearTimeout(this.#settling);
    this.#settling = undefined;
    this.#watchDirectories();
    const contents = digestOf(new Map(this.#files.map((file) => [file, textOrNull(file)])));
    if (contents === this.#contents) return;
    this.#contents = contents;
    this.#options.onChange();
  }

  /** Each time anew: a link may lead elsewhere by now, a directory may be another one of the same name. */
  #watchDirectories(): void {
    const wanted = new Map(
      this.#files.flatMap(directoriesOf).flatMap((directory) => {
        const identity = identityOf(directory);
        return identity === undefined ? [] : [[directory, identity] as const];
      }),
    );
    for (const [directory, { identity, watcher }] of this.#watchers) {
      if (wanted.get(directory) === identity) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    for (const [directory, identity] of wanted) {
      if (this.#watchers.has(directory)) continue;
      const watcher = unlessAbsent(() => watch(directory, { persistent: false }, () => this.#settle()));
      if (watcher === undefined) continue;
      // The directory went away: the poll finds out what became of it.
      watcher.on('error', () => watcher.close());
      this.#watchers.set(directory, { identity, watcher });
    }
  }

  /** Every event puts the look off; a directory that never rests is left to the poll. */
  #settle(): void {
    if (this.#settling === undefined) this.#settling = setTimeout(() => this.#look(), this.#options.settleMs).unref();
    else this.#settling.refresh();
  }
}

/** Where its name stands, and where the file itself does. */
function directoriesOf(file: string): readonly string[] {
  const real = unlessAbsent(() => realpathSync(file));
  return real === undefined ? [dirname(file)] : [dirname(file), dirname(real)];
}

function identityOf(directory: string): string | undefined {
  const status = unlessAbsent(() => statSync(directory, { bigint: true }));
  return status === undefined ? undefined : `${status.dev}:${status.ino}`;
}

function digestOf(texts: ReadonlyMap<string, string | null>): string {
  const hash = createHash('sha256');
  for (const [file, text] of texts) hash.update(JSON.stringify([file, text]));
  return hash.digest('hex');
}

function textOrNull(file: string): string | null {
  try {
    return readText(file);
  } catch (error) {
    if (error instanceof PolicyError) return null;
    throw error;
  }
}

/** Files and directories come and go: that is what is watched for. */
function unlessAbsent<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // ENOSPC: the user's limit of watches is reached, and the poll must do.
    if (code === undefined || !['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENOSPC', 'EMFILE'].includes(code)) throw error;
    return undefined;
  }
}
