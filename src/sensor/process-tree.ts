import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { unlessGone } from './unless-gone.ts';

/** The process and all that it, its children and theirs have started and that still have their parents. */
export function descendants(pid: number, proc = '/proc'): readonly number[] {
  const found = new Set([pid]);
  for (const each of found) for (const child of childrenOf(each, proc)) found.add(child);
  return [...found];
}

/** A child belongs to the thread that has started it. */
function childrenOf(pid: number, proc: string): readonly number[] {
  const tasks = join(proc, `${pid}`, 'task');
  const threads = unlessGone(() => readdirSync(tasks)) ?? [];
  return threads.flatMap((thread) => {
    const text = unlessGone(() => readFileSync(join(tasks, thread, 'children'), 'latin1')) ?? '';
    return text.split(' ').filter(Boolean).map(Number);
  });
}
