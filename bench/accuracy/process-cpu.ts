import { readdirSync, readFileSync } from 'node:fs';
import { NS_PER_MS } from '../../src/core/units.ts';
import { unlessGone } from '../../src/sensor/unless-gone.ts';

/** CPU time of the threads that a process has now, see /proc/PID/task/TID/schedstat; undefined where it has ended. */
export function processCpuMs(pid: number): number | undefined {
  const tasks = `/proc/${pid}/task`;
  const threads = unlessGone(() => readdirSync(tasks));
  const ranNs = (thread: string) =>
    Number(unlessGone(() => readFileSync(`${tasks}/${thread}/schedstat`, 'latin1'))?.split(' ')[0] ?? 0);
  return threads?.reduce((sum, thread) => sum + ranNs(thread) / NS_PER_MS, 0);
}
