import { mkdirSync, statSync } from 'node:fs';
import { UsageError } from '../core/errors.ts';

/**
 * Makes the directory of the journal and the control socket. Whoever can write it can put others in their place, and what a
 * journal says is written with our rights.
 *
 * @throws UsageError where it belongs to another user, or others can write it
 */
export function makeOwnDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o755 });
  const { uid, mode } = statSync(path);
  if (uid !== 0 && uid !== process.geteuid?.()) {
    throw new UsageError(
      `the runtime directory ${path} belongs to user ${uid}, expected root or whoever runs the daemon`,
    );
  }
  if ((mode & 0o022) === 0) return;
  const shown = (mode & 0o7777).toString(8);
  throw new UsageError(`others can write the runtime directory ${path} (mode ${shown}), expected it without go+w`);
}
