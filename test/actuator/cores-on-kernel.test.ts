/** Real processes on the kernel of this machine: masks of threads, and where there is one, a cpuset of version 1. */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CoresSession, type CoresOptions } from '../../src/actuator/cores-session.ts';
import { kernelOwners } from '../../src/actuator/cpu-owners.ts';
import { restoreControls } from '../../src/actuator/restore.ts';
import { affinityOf, setAffinity } from '../../src/native/sched.ts';
import { realTree } from '../../src/sysfs/real-tree.ts';
import { ActuatorBench } from './actuator-bench.ts';
import { pointOf } from './cores-bench.ts';

const CPUS = affinityOf(0);
const [FIRST, LAST] = [CPUS[0]!, CPUS.at(-1)!];
const TWO = CPUS.length >= 2 ? '' : ' (left out: one CPU)';

let bench: ActuatorBench;
let server: ChildProcess;
beforeEach(() => {
  bench = new ActuatorBench();
  server = spawn('sleep', ['600'], { stdio: 'ignore' });
});
afterEach(async () => {
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGKILL');
  await ended;
  bench.remove();
});

function session(pid: number, method: CoresOptions['method']) {
  const tree = realTree();
  const cores = new CoresSession({
    ...{ tree, owners: kernelOwners, clock: bench.clock, method, force: false, journal: null },
    locate: () => new Map([['web', { pids: [pid] }]]),
    foreignWriter: 'yield',
    log: (level, message) => bench.log.push(`${level}: ${message}`),
  });
  return { tree, cores };
}

describe.skipIf(TWO !== '')(`threads of a real process${TWO}`, () => {
  it('are moved and given back', () => {
    const { tree, cores } = session(server.pid!, 'threads');
    const { cpus } = cores.apply(pointOf({ web: [LAST] }))!;
    expect(cpus[0]).toMatchObject({ method: 'threads', appliedCpus: [LAST], outcome: 'applied' });
    expect(affinityOf(server.pid!)).toEqual([LAST]);
    expect(restoreControls(tree, cores.records)).toEqual([{ control: `thread/${server.pid}`, outcome: 'restored' }]);
    expect(affinityOf(server.pid!)).toEqual(CPUS);
    tree.close();
  });

  it('that come later are moved, too, and one that was pinned keeps its mask', async () => {
    const script = `const { Worker } = require('node:worker_threads');
      process.stdin.on('data', () => { new Worker('setInterval(() => {}, 1e6)', { eval: true }).on('online', () => console.log('more')); });
      console.log('ready')`;
    const node = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      await new Promise((resolve) => node.stdout.once('data', resolve));
      const threadsOf = () => kernelOwners.threads.threadsOf(node.pid!);
      const pinned = threadsOf().find((tid) => tid !== node.pid)!;
      setAffinity(pinned, [FIRST]);
      const { tree, cores } = session(node.pid!, 'threads');
      cores.apply(pointOf({ web: [LAST] }));
      const before = threadsOf();
      node.stdin.write('more');
      await new Promise((resolve) => node.stdout.once('data', resolve));
      expect(threadsOf().length).toBeGreaterThan(before.length);
      bench.nowMs += 2000;
      cores.apply(pointOf({ web: [LAST] }));
      for (const tid of threadsOf()) expect(affinityOf(tid)).toEqual(tid === pinned ? [FIRST] : [LAST]);
      restoreControls(tree, cores.records);
      for (const tid of threadsOf()) expect(affinityOf(tid)).toEqual(tid === pinned ? [FIRST] : CPUS);
      tree.close();
    } finally {
      node.kill('SIGKILL');
    }
  });
});

function mayWriteCpusets(): boolean {
  try {
    accessSync('/sys/fs/cgroup/cpuset/cgroup.procs', constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const V1 = mayWriteCpusets() ? TWO : ' (left out: no cpuset of version 1 that we may write)';
describe.skipIf(V1 !== '')(`a real cpuset of version 1${V1}`, () => {
  const name = `tailgov-test-${process.pid}`;
  const directory = join('/sys/fs/cgroup/cpuset', name);
  beforeEach(() => {
    mkdirSync(directory);
    writeFileSync(join(directory, 'cpuset.mems'), '0');
    writeFileSync(join(directory, 'cpuset.cpus'), CPUS.join());
    writeFileSync(join(directory, 'cgroup.procs'), String(server.pid));
  });
  afterEach(() => {
    // The server's end comes after this: its task goes home first.
    writeFileSync('/sys/fs/cgroup/cpuset/cgroup.procs', String(server.pid));
    rmdirSync(directory);
  });

  it('is chosen, written and put back, and a pinned task keeps its mask', () => {
    const { tree, cores } = session(server.pid!, 'auto');
    setAffinity(server.pid!, [LAST]);
    const control = `fs/cgroup/cpuset/${name}/cpuset.cpus`;
    expect(cores.apply(pointOf({ web: [FIRST] }))!.cpus[0]).toMatchObject({ method: 'cgroup1', appliedCpus: [FIRST] });
    expect(affinityOf(server.pid!)).toEqual([FIRST]);
    const restored = restoreControls(tree, cores.records);
    expect(restored[0]).toEqual({ control, outcome: 'restored' });
    expect(restored.map(({ outcome }) => outcome)).not.toContain('failed');
    expect(affinityOf(server.pid!)).toEqual([LAST]);
    tree.close();
  });
});
