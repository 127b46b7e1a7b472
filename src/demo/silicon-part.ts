import { startLiveMock } from '../sysfs/live-mock.ts';
import type { FromPart } from './part-messages.ts';
import { untilDisconnected } from './part.ts';

/** The demo's silicon, a process of its own: it answers writes to the mock tree as the kernel and the CPU would. */
export async function runSiliconPart(treeDirectory: string, send: (message: FromPart) => void): Promise<void> {
  const live = startLiveMock(treeDirectory);
  send({ kind: 'ready' });
  await untilDisconnected();
  live.close();
}
