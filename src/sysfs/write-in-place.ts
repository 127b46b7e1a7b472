import { fstatSync, ftruncateSync, writeSync } from 'node:fs';

/**
 * Replaces the text of a mock's file so that a reader with a kept-open descriptor finds the old text or the new one, never
 * an empty file or a mixture: the inode stays, one write covers all of the old text (what is left of it becomes newlines,
 * which readers strip), and only then is the file cut to its new length.
 */
export function writeInPlace(descriptor: number, text: string): void {
  const bytes = Buffer.from(`${text}\n`);
  const oldLength = fstatSync(descriptor).size;
  const padding = Buffer.alloc(Math.max(0, oldLength - bytes.length), '\n');
  writeSync(descriptor, Buffer.concat([bytes, padding]), 0, undefined, 0);
  if (padding.length > 0) ftruncateSync(descriptor, bytes.length);
}
