import { parentPort } from 'node:worker_threads';
import { messageOf, PolicyError, UsageError } from '../../core/errors.ts';
import { runTask, type SweepOutcome, type SweepTask } from './sweep-task.ts';

export const SWEEP_ROLE = 'tailgov-sweep';

export type SweepAnswer =
  | { readonly role: typeof SWEEP_ROLE; readonly outcome: SweepOutcome }
  | { readonly role: typeof SWEEP_ROLE; readonly kind: string; readonly message: string; readonly problems: unknown };

const hasRole = (data: unknown): boolean =>
  typeof data === 'object' && data !== null && (data as { role?: unknown }).role === SWEEP_ROLE;

export const isSweepAnswer = (data: unknown): data is SweepAnswer => hasRole(data);

/** Runs one task after the other, as they are sent. */
export function serveSweep(): void {
  const port = parentPort!;
  port.on('message', (task: SweepTask) => {
    const answer = answerTo(task);
    port.postMessage(answer);
  });
}

function answerTo(task: SweepTask): SweepAnswer {
  try {
    return { role: SWEEP_ROLE, outcome: runTask(task) };
  } catch (error) {
    const kind = error instanceof PolicyError ? 'policy' : error instanceof UsageError ? 'usage' : 'other';
    const problems = error instanceof PolicyError ? error.problems : [];
    return { role: SWEEP_ROLE, kind, message: messageOf(error), problems };
  }
}
