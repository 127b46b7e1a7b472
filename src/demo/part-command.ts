import { UsageError } from '../core/errors.ts';
import { runLoadPart } from './load-part.ts';
import type { FromPart } from './part-messages.ts';
import { runServerPart } from './server-part.ts';
import { runSiliconPart } from './silicon-part.ts';

/** Becomes one of the demo's child processes. @throws UsageError when a person calls it */
export async function runPart(name: string, argument: string | undefined): Promise<void> {
  if (process.send === undefined)
    throw new UsageError('`demo part` is what the demo starts its own processes with: run `tailgov demo`');
  const send = (message: FromPart) => {
    // Once the demo is gone nobody listens, and the part is about to end.
    if (process.connected) process.send!(message);
  };
  await partNamed(name, argument, send);
  // What it was in the middle of when the demo went away, such as opening connections, is not to keep it alive.
  process.exit(0);
}

function partNamed(name: string, argument: string | undefined, send: (message: FromPart) => void): Promise<void> {
  switch (name) {
    case 'server':
      return runServerPart(argument ?? '', send);
    case 'silicon':
      return runSiliconPart(argument ?? '', send);
    case 'load':
      return runLoadPart(send);
    default:
      throw new UsageError(`demo part ${name}: expected server, silicon or load`);
  }
}
