import { existsSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { UsageError } from '../core/errors.ts';
import { packageRoot } from './package-root.ts';

/** The policies that the package brings: files by name, in alphabetical order. */
export function readyPolicies(): Readonly<Record<string, string>> {
  const directory = join(packageRoot(), 'policies');
  const files = readdirSync(directory).filter((name) => name.endsWith('.yaml'));
  return Object.fromEntries(files.sort().map((name) => [basename(name, '.yaml'), join(directory, name)]));
}

/** @param name a file, or a ready policy @throws UsageError that lists the ready ones */
export function policyFile(name: string): string {
  const ready = readyPolicies();
  if (existsSync(name) || name.includes('/') || /\.ya?ml$/.test(name)) return resolve(name);
  if (Object.hasOwn(ready, name)) return ready[name]!;
  throw new UsageError(`--policy ${name}: no such policy, expected a file or ${Object.keys(ready).join(', ')}`);
}

/** As short as tells them apart. */
export function namesOf(files: readonly string[]): readonly string[] {
  const short = files.map((file) => basename(file).replace(/\.ya?ml$/, ''));
  return short.map((name, index) => (short.indexOf(name) === short.lastIndexOf(name) ? name : files[index]!));
}
