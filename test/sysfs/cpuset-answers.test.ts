/** The table of writes to cpusets, against the mock and, where this machine has version 1 and we are root, against its kernel. */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { realTree } from '../../src/sysfs/real-tree.ts';
import {
  CPUSET1,
  CPUSET1_ANSWERS,
  CPUSET1_EXCLUSIVE,
  CPUSET2,
  CPUSET2_ANSWERS,
  CPUSET2_START,
} from './kernel-answers.ts';
import { differences } from './run-scenario.ts';
import { shippedMock } from './shipped-mock.ts';

function memory(files: Readonly<Record<string, string>>): MemoryTree {
  const machine = shippedMock('acpi-cpufreq-qemu-2c');
  return new MemoryTree({ ...machine, files: new Map([...machine.files, ...Object.entries(files)]) });
}

const version2 = () =>
  memory({
    ...Object.fromEntries(
      [CPUSET2, `${CPUSET2}/with-task`].flatMap((directory) => [
        [`${directory}/cpuset.cpus`, ''],
        [`${directory}/cpuset.cpus.effective`, ''],
      ]),
    ),
    [`${CPUSET2}/with-task/cgroup.procs`]: '1',
  });

const version1 = (exclusive: boolean) =>
  memory({
    'fs/cgroup/cpuset/cpuset.cpus': '0-1',
    [`${CPUSET1}/cpuset.cpus`]: '0-1',
    [`${CPUSET1}/with-task/cpuset.cpus`]: exclusive ? '1' : '0-1',
    [`${CPUSET1}/with-task/cpuset.effective_cpus`]: '',
    [`${CPUSET1}/with-task/cgroup.procs`]: '1',
    [`${CPUSET1}/exclusive/cpuset.cpus`]: exclusive ? '0' : '',
    [`${CPUSET1}/exclusive/cpuset.cpu_exclusive`]: exclusive ? '1' : '0',
  });

describe('cpusets in memory answer as the kernel’s', () => {
  it.each(CPUSET2_ANSWERS)('version 2: $name', ({ steps }) => {
    expect(differences(version2(), [...CPUSET2_START, ...steps])).toEqual([]);
  });

  it.each(CPUSET1_ANSWERS)('version 1: $name', ({ steps }) => {
    expect(differences(version1(false), steps)).toEqual([]);
  });

  it('version 1: an exclusive cpuset shares no CPU', () => {
    expect(differences(version1(true), CPUSET1_EXCLUSIVE)).toEqual([]);
  });
});

/** Why the kernel of this machine cannot be asked; empty where it can. */
function unavailable(): string {
  try {
    accessSync('/sys/fs/cgroup/cpuset/cgroup.procs', constants.W_OK);
  } catch {
    return 'no cpuset of version 1 that we may write';
  }
  const others = readdirSync('/sys/fs/cgroup/cpuset', { withFileTypes: true }).filter((entry) => entry.isDirectory());
  if (others.length > 0) return `no cpuset can be exclusive beside ${others.map(({ name }) => name).join(', ')}`;
  const cpus = readFileSync('/sys/fs/cgroup/cpuset/cpuset.cpus', 'utf8').trim();
  return cpus === '0-1' ? '' : `this machine has CPUs ${cpus}, the table is for 0-1`;
}

const why = unavailable();
describe.skipIf(why !== '')(`the kernel of this machine answers so${why === '' ? '' : ` (left out: ${why})`}`, () => {
  const root = join('/sys', CPUSET1);
  let task: ChildProcess;
  const put = (file: string, text: string) => writeFileSync(join(root, file), text);
  beforeAll(() => {
    for (const name of ['.', 'with-task', 'exclusive']) {
      mkdirSync(join(root, name));
      put(`${name}/cpuset.mems`, '0');
    }
    put('cpuset.cpus', '0-1');
    put('with-task/cpuset.cpus', '0-1');
    task = spawn('sleep', ['600'], { stdio: 'ignore' });
    put('with-task/cgroup.procs', String(task.pid));
  });
  afterAll(async () => {
    const ended = new Promise((resolve) => task.once('exit', resolve));
    task.kill('SIGKILL');
    await ended;
    for (const name of ['exclusive', 'with-task', '.']) await removed(join(root, name));
  });

  it('version 1', () => {
    const tree = realTree();
    for (const { name, steps } of CPUSET1_ANSWERS) expect([name, ...differences(tree, steps)]).toEqual([name]);
    put('with-task/cpuset.cpus', '1');
    put('exclusive/cpuset.cpus', '0');
    put('cpuset.cpu_exclusive', '1');
    put('exclusive/cpuset.cpu_exclusive', '1');
    expect(differences(tree, CPUSET1_EXCLUSIVE)).toEqual([]);
    tree.close();
  });
});

/** The kernel lets a control group go a moment after its last task has ended. */
async function removed(path: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return rmdirSync(path);
    } catch (error) {
      if (tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
