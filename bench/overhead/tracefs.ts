import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const PLACE = '/sys/kernel/tracing';

/** bpftrace finds tracepoints by their files. @returns what puts things back as they were */
export function mountTracefs(): () => void {
  if (existsSync(`${PLACE}/events`)) return () => undefined;
  execFileSync('mount', ['-t', 'tracefs', 'tracefs', PLACE]);
  console.log(`mounted tracefs on ${PLACE} for the time of the bench: bpftrace needs it`);
  return () => execFileSync('umount', [PLACE]);
}
