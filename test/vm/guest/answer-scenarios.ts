/** Runs in the guest: performs /vm/job.json on the real /sys, and writes the answers and what the machine is to /vm. */
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { SysfsResult, SysfsTree } from '../../../src/core/sysfs-tree.ts';
import { realTree } from '../../../src/sysfs/real-tree.ts';
import { FREQUENCY_PORT, STEP_MARK } from '../acpi-tables.ts';
import { answersOf, type AnswerJob } from '../answer-steps.ts';

const CPU_DIRECTORY = 'devices/system/cpu';

const job = JSON.parse(readFileSync('/vm/job.json', 'utf8')) as AnswerJob;
const ports = openSync('/dev/port', constants.O_WRONLY);
const cpus = readdirSync(`/sys/${CPU_DIRECTORY}`).filter((name) => /^cpu\d+$/.test(name)).length;

/** Nothing but the system calls: what the kernel says, with none of the project's code between. */
const plainTree: Pick<SysfsTree, 'read' | 'write'> = {
  read: (path) => attempt('read', path, () => readFileSync(join('/sys', path), 'utf8').replace(/\n$/, '')),
  write: (path, text) =>
    attempt('write', path, () => {
      const descriptor = openSync(join('/sys', path), constants.O_WRONLY);
      try {
        writeSync(descriptor, `${text}\n`);
      } finally {
        closeSync(descriptor);
      }
    }),
};

function attempt<T>(operation: 'read' | 'write', path: string, action: () => T): SysfsResult<T> {
  try {
    return { ok: true, value: action() };
  } catch (error) {
    return { ok: false, operation, path, errno: (error as NodeJS.ErrnoException).code! };
  }
}

/**
 * A new limit is only noted by the write; a worker of the writing CPU's queue applies it. This file's handler puts work of
 * its own into every CPU's queue and waits for it, hence for all that was there before.
 */
function waitForWorkers(): void {
  writeFileSync('/proc/sys/vm/stat_refresh', '1');
}

/** Ends the step's line in each CPU's log on the host. */
function markStep(): void {
  for (let cpu = 0; cpu < cpus; cpu++) writeSync(ports, Buffer.of(STEP_MARK), 0, 1, FREQUENCY_PORT + cpu);
}

/** What a model of this machine is made from, by path. Symbolic links are left out: they show the same again. */
function recordFiles(path: string): readonly (readonly [string, string])[] {
  const { mode } = statSync(join('/sys', path));
  if ((mode & 0o444) === 0) return [];
  const result = plainTree.read(path);
  if (result.ok) return [[path, result.value]];
  if (result.errno !== 'EISDIR') return [];
  return readdirSync(join('/sys', path), { withFileTypes: true })
    .filter((entry) => !entry.isSymbolicLink())
    .flatMap((entry) => recordFiles(`${path}/${entry.name}`));
}

const files = readdirSync(`/sys/${CPU_DIRECTORY}`)
  .flatMap((name) => (/^cpu\d+$/.test(name) ? [`${name}/online`, `${name}/topology`] : [name]))
  .filter((name) => /^(cpu\d+\/|(cpufreq|smt|online|offline|possible|present|isolated|nohz_full)$)/.test(name))
  .map((name) => `${CPU_DIRECTORY}/${name}`)
  .filter((path) => existsSync(join('/sys', path)))
  .flatMap(recordFiles);
markStep();

const kernel = answersOf(plainTree, job, () => {
  waitForWorkers();
  markStep();
});

const tree = realTree();
const ours = answersOf(tree, job, waitForWorkers);
tree.close();

writeFileSync('/vm/answers.json', JSON.stringify({ files, kernel, ours }));
