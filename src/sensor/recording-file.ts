import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { messageOf, UsageError } from '../core/errors.ts';

const BUFFERED_CHARACTERS = 64 * 1024;

/**
 * A file of whole lines that stays whole: what does not fit below its limit or cannot be written is left out, and what
 * was half written is taken back.
 */
export class RecordingFile {
  readonly name: string;
  readonly #descriptor: number;
  readonly #limitBytes: number;
  #buffered = '';
  /** Whole lines that are on disk. */
  #bytes = 0;
  #ended: 'limit' | Error | null = null;

  /** @throws UsageError where the file cannot be created; one that is there is replaced */
  constructor(name: string, limitBytes: number) {
    this.name = name;
    this.#limitBytes = limitBytes;
    try {
      this.#descriptor = openSync(name, 'w', 0o644);
    } catch (error) {
      throw new UsageError(`--record ${name}: cannot be written: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Why nothing more is written: the limit was reached, or writing failed. */
  get ended(): 'limit' | Error | null {
    return this.#ended;
  }

  /** @param line with its line end. @returns false where it was left out */
  add(line: string): boolean {
    if (this.#ended !== null) return false;
    // Lines are ASCII: a character is a byte.
    if (this.#bytes + this.#buffered.length + line.length > this.#limitBytes) {
      this.flush();
      this.#ended ??= 'limit';
      return false;
    }
    this.#buffered += line;
    if (this.#buffered.length >= BUFFERED_CHARACTERS) this.flush();
    return this.#ended === null;
  }

  /** Hands over what waits, a line that must not be missing even where the limit was reached included. */
  flush(lastLine = ''): void {
    if (this.#ended instanceof Error) return;
    const bytes = Buffer.from(this.#buffered + lastLine, 'latin1');
    this.#buffered = '';
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(this.#descriptor, bytes, done);
      this.#bytes += bytes.length;
    } catch (error) {
      // A full disk, mostly. Of what was begun no part is known to be whole.
      this.#ended = error instanceof Error ? error : new Error(String(error));
      this.#takeBack();
    }
  }

  #takeBack(): void {
    try {
      ftruncateSync(this.#descriptor, this.#bytes);
    } catch {
      // No file that has a length, or a disk that fails altogether. A reader leaves out a line that was cut off.
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
