import { fstatSync, ftruncateSync, writeSync } from 'node:fs';

/**
 * Replaces the text of a mock's file so that a reader with a kept-open descriptor finds the old text or the new one, never
 * an empty file or a mixture: the inode stays, one write covers all of the old text (what is left of it becomes newlines,
 * which readers strip), and only then is the file cut to its new length.
 */
export function writeInPlace(descriptor: number, text: string): void {
  const line = `${text}\n`;
  const length = Buffer.byteLength(line);
  const excess = Math.max(0, fstatSync(descriptor).size - length);
  writeSync(descriptor, line + '\n'.repeat(excess), 0);
  if (excess > 0) ftruncateSync(descriptor, length);
}
