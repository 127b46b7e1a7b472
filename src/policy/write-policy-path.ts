import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { isMap, isScalar, isSeq, parseDocument } from 'yaml';
import { readText } from './yaml-file.ts';

/**
 * Names another policy for a service in a config file. Nothing else of the file changes: comments and layout stay as they
 * are. The file is replaced in one step.
 *
 * @param policyFile an absolute path; written relative to the config where it lies below its directory
 * @throws Error when the file has no such service or cannot be written
 */
export function writePolicyPath(configFile: string, service: string, policyFile: string): void {
  // The name may be a link, which stays one.
  const file = realpathSync(configFile);
  replaceFile(file, withPolicyPath(readText(file), service, pathFrom(dirname(configFile), policyFile)));
}

function pathFrom(directory: string, file: string): string {
  const path = relative(directory, file);
  return path.startsWith('..') || isAbsolute(path) ? file : path;
}

/** @returns the text with the one value exchanged */
export function withPolicyPath(text: string, service: string, path: string): string {
  const document = parseDocument(text, { keepSourceTokens: true });
  const services = document.get('services');
  const found = isSeq(services)
    ? services.items.find((item) => isMap(item) && item.get('name') === service)
    : undefined;
  const value = isMap(found) ? found.get('policy', true) : undefined;
  if (!isScalar(value) || !value.range) throw new Error(`find the policy of service ${service}: no such key`);
  // Cut out and put in: to print the document anew would lay out what the user has laid out.
  const [start, end] = value.range;
  const quoted = /^[A-Za-z0-9_./-]+$/.test(path) ? path : JSON.stringify(path);
  return text.slice(0, start) + quoted + text.slice(end);
}

/** Whoever reads it meanwhile sees the old text or the new one, and so does the next boot after a crash. */
function replaceFile(file: string, text: string): void {
  const { mode, uid, gid } = statSync(file);
  const scratch = join(dirname(file), `.tailgov-${randomBytes(6).toString('hex')}`);
  const fd = openSync(scratch, 'wx', 0o600);
  try {
    try {
      // All of it or an error, as at a full disk: a single write may take a part.
      writeFileSync(fd, text);
      fchownSync(fd, uid, gid);
      fchmodSync(fd, mode);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(scratch, file);
  } catch (error) {
    rmSync(scratch, { force: true });
    throw error;
  }
}
