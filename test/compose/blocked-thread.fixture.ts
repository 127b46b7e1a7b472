import { parentPort } from 'node:worker_threads';
import { ModuleThread } from '../../src/compose/module-thread.ts';
import { messageOf } from '../../src/core/errors.ts';
import { input } from '../controller/observation.ts';

/** All in one turn of the event loop, as the governor's thread lives. */
function outcome(source: string, deadlineMs: number, times: number): unknown[] {
  const hosted = new ModuleThread(source, deadlineMs);
  const told: unknown[] = [];
  for (let tries = 0; told.length < times && tries < 1000; tries++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    try {
      const answer = hosted.ask({ input: input() });
      if (answer !== null) told.push(answer.level);
    } catch (error) {
      told.push(messageOf(error));
    }
  }
  return told;
}

const [level] = outcome('export const step = ({ appliedLevel }) => ({ level: appliedLevel });', 1000, 1);
const refusals = outcome('export const step = () => { for (;;); };', 30, 2);
parentPort!.postMessage({ level, refusals });
