import { Worker } from 'node:worker_threads';
import { messageOf, PolicyError, UsageError } from '../../core/errors.ts';
import { runTask, type SweepOutcome, type SweepTask } from './sweep-task.ts';
import { isSweepAnswer, SWEEP_ROLE } from './sweep-thread.ts';

export interface RunTasksOptions {
  readonly tasks: readonly SweepTask[];
  /** With 1 all is done in this thread. */
  readonly threads: number;
  /** The program that a thread runs, which must call `serveSweep`. */
  readonly program: URL;
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number, all: number) => void;
}

/**
 * Every task's outcome in the order of the tasks, so that nothing depends on which thread was faster; undefined for those
 * that were not begun, or not done, when the signal came.
 *
 * @throws UsageError, PolicyError, and whatever else a task fails with
 */
export async function runTasks(options: RunTasksOptions): Promise<readonly (SweepOutcome | undefined)[]> {
  const { tasks, signal, onProgress } = options;
  const outcomes: (SweepOutcome | undefined)[] = tasks.map(() => undefined);
  let next = 0;
  let done = 0;
  const take = () => (signal.aborted || next === tasks.length ? null : next++);
  const put = (index: number, outcome: SweepOutcome) => {
    outcomes[index] = outcome;
    onProgress?.(++done, tasks.length);
  };
  const threads = Math.min(options.threads, tasks.length);
  if (threads <= 1) await runHere(tasks, take, put);
  else await runOnThreads(threads, options, take, put);
  return outcomes;
}

type Take = () => number | null;
type Put = (index: number, outcome: SweepOutcome) => void;

async function runHere(tasks: readonly SweepTask[], take: Take, put: Put): Promise<void> {
  for (let index = take(); index !== null; index = take()) {
    put(index, runTask(tasks[index]!));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Where one fails the others are given up: nobody waits for what they would find. */
async function runOnThreads(count: number, options: RunTasksOptions, take: Take, put: Put): Promise<void> {
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  const threads = Array.from({ length: count }, () =>
    runThere({ ...options, signal }, take, put).catch((error: unknown) => {
      failure.abort();
      throw error;
    }),
  );
  try {
    await Promise.all(threads);
  } finally {
    await Promise.allSettled(threads);
  }
}

async function runThere({ tasks, program, signal }: RunTasksOptions, take: Take, put: Put): Promise<void> {
  const worker = new Worker(program, { workerData: { role: SWEEP_ROLE } });
  const stop = new AbortController();
  try {
    await new Promise<void>((resolve, reject) => {
      let index: number | null = null;
      const ask = () => {
        index = take();
        if (index === null) resolve();
        else worker.postMessage(tasks[index]);
      };
      // What is under way is given up: it may take a while.
      signal.addEventListener('abort', () => resolve(), { signal: stop.signal });
      worker.on('error', reject);
      worker.on('exit', (code) => reject(new Error(`a thread of the sweep ended by itself, with exit code ${code}`)));
      worker.on('message', (answer: unknown) => {
        if (!isSweepAnswer(answer)) return;
        if ('outcome' in answer) {
          put(index!, answer.outcome);
          ask();
        } else reject(errorOf(answer));
      });
      ask();
    });
  } finally {
    stop.abort();
    await worker.terminate();
  }
}

/** As it was thrown there: the command's exit code depends on its kind. */
function errorOf({ kind, message, problems }: { kind: string; message: string; problems: unknown }): Error {
  if (kind === 'usage') return new UsageError(message);
  if (kind === 'policy') return new PolicyError('bad-file', problems as PolicyError['problems']);
  return new Error(`a thread of the sweep failed: ${messageOf(message)}`);
}
