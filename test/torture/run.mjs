#!/usr/bin/env node
/**
 * Attacks tailgov with full counts and shows the figures: `npm run torture [-- [--share 0.1] [--seed N] [VITEST ARGUMENTS]]`.
 * Everyday tests run the same files with small counts.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(dirname(HERE));

const { values, positionals } = parseArgs({
  options: { share: { type: 'string', default: '1' }, seed: { type: 'string', default: String(Date.now() % 2 ** 31) } },
  allowPositionals: true,
});
const share = Number(values.share);
const seed = Number(values.seed);
if (!(share > 0 && share <= 1) || !Number.isInteger(seed)) {
  console.error(
    `--share ${values.share} --seed ${values.seed}, expected a share above 0 and at most 1, and a whole number`,
  );
  process.exit(2);
}
const torturesIn = (project) =>
  readdirSync(join(ROOT, 'test', project))
    .filter((name) => /^torture-.*\.test\.ts$/.test(name))
    .map((name) => join(ROOT, 'test', project, name));
const alsoTried = join(ROOT, 'test', 'kernel', 'short-connections.test.ts');
const files = [HERE, ...torturesIn('kernel'), alsoTried, ...torturesIn('vm')].map((file) => relative(ROOT, file));
const shortConnections = Math.max(20_000, Math.round(1_000_000 * share));
console.log(`torture: ${JSON.stringify({ share, seed })}`);
const { status } = spawnSync(
  process.execPath,
  [
    join(ROOT, 'test', 'run.mjs'),
    ...['--project', 'unit', '--project', 'kernel', '--project', 'vm', '--disable-console-intercept=true'],
    ...(positionals.length > 0 ? positionals : files),
  ],
  {
    cwd: ROOT,
    stdio: 'inherit',
    env: {
      ...process.env,
      TAILGOV_TORTURE: values.share,
      TAILGOV_TORTURE_SEED: values.seed,
      TAILGOV_SHORT_CONNECTIONS: String(shortConnections),
    },
  },
);
process.exitCode = status ?? 1;
