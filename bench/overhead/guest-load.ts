/** Runs in the guest: the load of overhead.ts with nothing, `fentry` and `syscall` in turn, read in this process. */
import { readFileSync, writeFileSync } from 'node:fs';
import { openSensor } from '../../src/sensor/open-sensor.ts';
import { OpenLoopClient } from '../accuracy/open-loop.ts';
import { pinTo, type RunningSubject, SUBJECTS } from '../accuracy/subjects.ts';
import type { OverheadPart, OverheadRun } from './overhead-runs.ts';
import { alternately, saturate, SUBJECT_NAMES } from './rounds.ts';

export interface GuestJob {
  readonly objectDirectory: string;
  readonly rounds: number;
  readonly seconds: number;
}

const WAYS = ['nothing', 'fentry', 'syscall'] as const;
const READ_EVERY_MS = 100;

const { objectDirectory, rounds, seconds } = JSON.parse(readFileSync('/vm/job.json', 'utf8')) as GuestJob;
const client = new OpenLoopClient('/vm/open-loop');
const subjects = [];
for (const subject of SUBJECTS.filter(({ name }) => SUBJECT_NAMES.includes(name))) {
  const running = await subject.start(client);
  pinTo(0, running.pids);
  await measure('nothing', running);
  const runs = await alternately(
    WAYS,
    rounds,
    (way) => measure(way, running),
    (way, round) => console.log(`${subject.name}, round ${round + 1} of ${rounds}: ${way}`),
  );
  subjects.push({ subject: subject.name, ways: WAYS.map((way) => ({ way, runs: runs.get(way)! })) });
  await running.stop();
}
client.remove();
const report: Omit<OverheadPart, 'at'> = { rounds, seconds, subjects };
writeFileSync('/vm/report.json', JSON.stringify(report));

async function measure(way: (typeof WAYS)[number], running: RunningSubject): Promise<OverheadRun> {
  const sensor =
    way === 'nothing'
      ? undefined
      : openSensor({ targets: [{ name: 'subject', ...running.target }], method: way, objectDirectory });
  const reading = setInterval(() => sensor?.read(), READ_EVERY_MS);
  const cpuMs = () => (process.cpuUsage().user + process.cpuUsage().system) / 1000;
  const run = await saturate(running, { seconds, clientCpu: 1 }, cpuMs);
  clearInterval(reading);
  sensor?.close();
  return run;
}
