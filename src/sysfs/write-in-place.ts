import { fstatSync, ftruncateSync, writeSync } from 'node:fs';

/**
 * Replaces the text of a mock's file so that a reader with a kept-open descriptor finds the old text or the new one, never
 * an empty file or a mixture: the inode stays, one write covers all of the old text (what is left of it becomes newlines,
 * which readers strip), and only then is the file cut to its new length.
 *
 * @param sizeBefore of the file, in bytes, where the caller knows it
 * @returns its size now
 */
export function writeInPlace(descriptor: number, text: string, sizeBefore = fstatSync(descriptor).size): number {
  const line = `${text}\n`;
  const size = Buffer.byteLength(line);
  const excess = Math.max(0, sizeBefore - size);
  writeSync(descriptor, line + '\n'.repeat(excess), 0);
  if (excess > 0) ftruncateSync(descriptor, size);
  return size;
}
