import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Builds dist/cli.js where the sources are newer. */
export function buildBundle(): void {
  spawnSync(process.execPath, [join(import.meta.dirname, '../deploy/build.mjs'), 'bundle'], { stdio: 'inherit' });
}
