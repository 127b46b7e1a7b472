import { describe, expect, it } from 'vitest';
import { runTasks } from '../../../src/study/sweep/run-tasks.ts';
import type { SweepTask } from '../../../src/study/sweep/sweep-task.ts';
import { SWEEP_ROLE } from '../../../src/study/sweep/sweep-thread.ts';

/** Does with each task what its name says. */
const PROGRAM = `
  import { parentPort } from 'node:worker_threads';
  const role = ${JSON.stringify(SWEEP_ROLE)};
  const acts = {
    good: () => setTimeout(() => parentPort.postMessage({ role, outcome: {} }), 5),
    bad: () => parentPort.postMessage({ role, kind: 'usage', message: 'no such policy', problems: [] }),
    end: () => process.exit(3),
  };
  parentPort.on('message', ({ act }) => acts[act]());
`;
const program = new URL(`data:text/javascript,${encodeURIComponent(PROGRAM)}`);

function run(acts: readonly string[], signal = new AbortController().signal) {
  let done = 0;
  const tasks = acts.map((act) => ({ act }) as unknown as SweepTask);
  const onProgress = () => void done++;
  return { outcomes: runTasks({ tasks, threads: 2, program, signal, onProgress }), done: () => done };
}

describe('runTasks()', { timeout: 60_000 }, () => {
  it('gives every thread up when a task fails on one', async () => {
    const { outcomes, done } = run(['bad', ...Array<string>(2000).fill('good')]);
    await expect(outcomes).rejects.toThrow('no such policy');
    const before = done();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(done()).toBe(before);
  });

  it('fails where a thread ends by itself', async () => {
    await expect(run(['good', 'end', 'good']).outcomes).rejects.toThrow('ended by itself, with exit code 3');
  });

  it('has an outcome of each task, and nothing against threads that end when all is done', async () => {
    expect(await run(Array<string>(20).fill('good')).outcomes).toEqual(Array<object>(20).fill({}));
  });

  it('has no outcome of those that a signal came before', async () => {
    const interrupt = new AbortController();
    const { outcomes, done } = run(Array<string>(2000).fill('good'), interrupt.signal);
    await expect.poll(done, { timeout: 20_000 }).toBeGreaterThan(0);
    interrupt.abort();
    const found = await outcomes;
    expect(found.filter((outcome) => outcome !== undefined).length).toBe(done());
    expect(found).toHaveLength(2000);
  });
});
