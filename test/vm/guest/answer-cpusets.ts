/** Runs in the guest: performs the table of writes to cpusets of version 2 on the real /sys, and writes what differs to /vm. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { realTree } from '../../../src/sysfs/real-tree.ts';
import { CPUSET2, CPUSET2_ANSWERS, CPUSET2_START } from '../../sysfs/kernel-answers.ts';
import { differences } from '../../sysfs/run-scenario.ts';

const root = join('/sys', CPUSET2);
const tree = realTree();
const found = CPUSET2_ANSWERS.map(({ name, steps }, index) => {
  const directory = `${root}-${index}`;
  const at = (path: string) => path.replace(CPUSET2, `${CPUSET2}-${index}`);
  mkdirSync(join(directory, 'with-task'), { recursive: true });
  writeFileSync(join(directory, 'cgroup.subtree_control'), '+cpuset');
  const task = spawn('sleep', ['600'], { stdio: 'ignore' });
  writeFileSync(join(directory, 'with-task/cgroup.procs'), String(task.pid));
  const here = [...CPUSET2_START, ...steps].map((step) => ({ ...step, path: at(step.path) }));
  const differing = differences(tree, here);
  task.kill('SIGKILL');
  task.unref();
  return { name, differing };
});
tree.close();
writeFileSync('/vm/cpuset-answers.json', JSON.stringify(found));
