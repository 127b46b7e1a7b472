import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CpufreqActuatorOptions } from '../../src/actuator/cpufreq-actuator.ts';
import type { CoresOptions } from '../../src/actuator/cores-session.ts';
import { readJournal } from '../../src/actuator/journal.ts';
import { restoreFromJournal } from '../../src/actuator/restore.ts';
import type { ServicePlace } from '../../src/core/service-place.ts';
import { rememberedOwners } from '../../src/actuator/cpu-owners.ts';
import { dryRunTree } from '../../src/sysfs/dry-run-tree.ts';
import { parseCpuList } from '../../src/core/cpu-list.ts';
import type { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { ActuatorBench } from './actuator-bench.ts';
import { FakeThreads, ownersOf, pointOf, treeWith } from './cores-bench.ts';

const WEB = '/batch/web';
const FILE = `fs/cgroup${WEB}/cpuset.cpus`;

let bench: ActuatorBench;
let threads: FakeThreads;
beforeEach(() => {
  bench = new ActuatorBench();
  threads = new FakeThreads();
});
afterEach(() => bench.remove());

const text = (tree: MemoryTree, path: string) => {
  const result = tree.read(path);
  return result.ok ? result.value : result.errno;
};

function governed(
  tree: MemoryTree,
  changes: Partial<CoresOptions> = {},
  place: ServicePlace = { pids: [500] },
  options: Partial<CpufreqActuatorOptions> = {},
) {
  const cores: CoresOptions = { locate: () => new Map([['web', place]]), method: 'auto', force: false, ...changes };
  const actuator = bench.actuator(tree, { cores, owners: ownersOf(tree, threads), ...options });
  actuator.engage();
  return actuator;
}

describe('a cpuset of version 2', () => {
  it('is written, journaled before, and given its effect back though the kernel takes no empty text', () => {
    const tree = treeWith([WEB]);
    threads.add(500, WEB, [[0, 1]]);
    const actuator = governed(tree);
    expect(actuator.apply(pointOf({ web: [1] })).cpus).toEqual([
      { service: 'web', method: 'cgroup2', askedCpus: [1], appliedCpus: [1], outcome: 'applied' },
    ]);
    expect(readJournal(bench.journalPath)!.records).toContainEqual({
      ...{ control: FILE, original: '', order: 0, kind: 'cpuset' },
    });
    expect(actuator.apply(pointOf({ web: [1] })).cpus![0]!.outcome).toBe('unchanged');
    expect(actuator.release('original')[0]).toEqual({
      control: FILE,
      outcome: 'restored',
      detail: 'the kernel refuses the original "" (ENOSPC): 0-1 has the same effect',
    });
    expect(text(tree, `${FILE}.effective`)).toBe('0-1');
  });

  it('never gets more than the operator has given it', () => {
    const tree = treeWith([WEB], '1');
    threads.add(500, WEB, [[1]]);
    const actuator = governed(tree);
    expect(actuator.apply(pointOf({ web: [0, 1] })).cpus![0]).toMatchObject({ appliedCpus: [1], outcome: 'clamped' });
    expect(actuator.apply(pointOf({ web: [0] })).cpus![0]).toMatchObject({ appliedCpus: [1], outcome: 'refused' });
  });

  it('a thread that its owner has pinned gets its mask back', () => {
    const tree = treeWith([WEB]);
    threads.add(500, WEB, [[0, 1], [1]]);
    const actuator = governed(tree);
    actuator.apply(pointOf({ web: [0] }));
    // What Linux before 6.2 makes of a pinned thread when its cpuset changes.
    threads.threads.get(501)!.mask = [0, 1];
    actuator.apply(pointOf({ web: [0, 1] }));
    expect(threads.maskOf(501)).toEqual([1]);
    threads.threads.get(501)!.mask = [0, 1];
    const restored = actuator.release('original');
    expect(threads.maskOf(501)).toEqual([1]);
    expect(restored).toContainEqual({ control: 'thread/501', outcome: 'restored' });
    expect(threads.maskOf(500)).toEqual([0, 1]);
  });

  it('that a kubelet manages is refused unless forced', () => {
    const pod = '/kubepods.slice/pod1/web';
    const tree = treeWith([pod]);
    threads.add(500, pod, [[0, 1]]);
    const refused = governed(tree).apply(pointOf({ web: [1] })).cpus![0]!;
    expect(refused).toMatchObject({ method: null, appliedCpus: null, outcome: 'refused' });
    expect(refused.detail).toContain('a kubelet manages /kubepods.slice/pod1/web');
    expect(text(tree, `fs/cgroup${pod}/cpuset.cpus`)).toBe('');
  });

  it('a service that is not there yet is taken when it comes', () => {
    const tree = treeWith([WEB]);
    let place: ServicePlace = { pids: [] };
    const actuator = governed(tree, { locate: () => new Map([['web', place]]) });
    expect(actuator.apply(pointOf({ web: [1] })).cpus![0]).toMatchObject({ outcome: 'refused', appliedCpus: null });
    threads.add(500, WEB, [[0, 1]]);
    place = { pids: [500] };
    bench.nowMs = 6000;
    expect(actuator.apply(pointOf({ web: [1] })).cpus![0]).toMatchObject({ outcome: 'applied', appliedCpus: [1] });
  });

  it('somebody else’s write is overridden a few times, then let be', () => {
    const tree = treeWith([WEB]);
    threads.add(500, WEB, [[0, 1]]);
    const actuator = governed(tree);
    actuator.apply(pointOf({ web: [1] }));
    const outcomes = Array.from({ length: 4 }, () => {
      tree.write(FILE, '0');
      bench.nowMs += 1500;
      return actuator.apply(pointOf({ web: [1] })).cpus![0]!.outcome;
    });
    expect(outcomes).toEqual(['applied', 'applied', 'applied', 'yielded']);
  });
});

describe('a unit of systemd', () => {
  const UNIT = '/system.slice/web.service';

  it('is written by systemd alone, and gets its property back', () => {
    const tree = treeWith([UNIT]);
    threads.add(500, UNIT, [[0, 1]]);
    const owners = ownersOf(tree, threads, true, '0-1');
    const actuator = governed(tree, {}, { pids: [500] }, { owners });
    expect(actuator.apply(pointOf({ web: [1] })).cpus![0]).toMatchObject({ method: 'unit', appliedCpus: [1] });
    expect(owners.units.allowedCpus('web.service')).toBe('1');
    expect(actuator.release('original')[0]).toEqual({ control: `unit/web.service${UNIT}`, outcome: 'restored' });
    expect(owners.units.allowedCpus('web.service')).toBe('0-1');
  });

  it('of which a user’s session, a slice or our own are none', () => {
    for (const cgroup of ['/user.slice/user-0.slice/session-1.scope', '/system.slice', '/']) {
      const tree = treeWith([cgroup]);
      const own = new FakeThreads();
      own.add(500, cgroup, [[0, 1]]);
      const owners = ownersOf(tree, own, true);
      const actuator = governed(tree, {}, { pids: [500] }, { owners });
      expect(actuator.apply(pointOf({ web: [1] })).cpus![0]).toMatchObject({ method: 'threads', appliedCpus: [1] });
      actuator.release('original');
    }
  });
});

describe('the masks of threads', () => {
  it('are set one by one, new threads too, and put back but for those that have ended', () => {
    const tree = treeWith([]);
    threads.add(500, '/', [[0, 1], [0, 1], [1]]);
    const actuator = governed(tree, { method: 'threads' });
    actuator.apply(pointOf({ web: [0] }));
    // A thread none of whose CPUs are granted stays where its owner has put it.
    expect([500, 501, 502].map((tid) => threads.maskOf(tid))).toEqual([[0], [0], [1]]);
    threads.threads.set(503, { pid: 500, startTicks: 7, mask: [0] });
    threads.threads.delete(501);
    bench.nowMs += 1500;
    actuator.apply(pointOf({ web: [0] }));
    actuator.apply(pointOf({ web: [0, 1] }));
    expect([500, 502, 503].map((tid) => threads.maskOf(tid))).toEqual([[0, 1], [1], [0, 1]]);
    actuator.apply(pointOf({ web: [1] }));
    threads.threads.get(503)!.startTicks = 8;
    expect(actuator.release('original').filter(({ control }) => control.startsWith('thread/'))).toEqual([
      { control: 'thread/500', outcome: 'restored' },
      { control: 'thread/501', outcome: 'gone', detail: 'the thread has ended' },
      { control: 'thread/502', outcome: 'already' },
      { control: 'thread/503', outcome: 'gone', detail: 'the thread has ended, and another has its number' },
    ]);
  });

  it('are forgotten of threads that have ended, however many come and go', () => {
    threads.add(500, '/', [[0, 1]]);
    const actuator = governed(treeWith([]), { method: 'threads' });
    actuator.apply(pointOf({ web: [0] }));
    for (let round = 0; round < 30; round++) {
      // None of the round before is left.
      for (const tid of threads.threads.keys()) if (tid > 500) threads.threads.delete(tid);
      for (let i = 0; i < 100; i++) {
        threads.threads.set(501 + 100 * round + i, { pid: 500, startTicks: 1000 + round, mask: [0] });
      }
      bench.nowMs += 1000;
      actuator.apply(pointOf({ web: [0] }));
    }
    const journaled = readJournal(bench.journalPath)!.records;
    expect(journaled.length).toBeLessThan(1200);
    const restored = actuator.release('original').filter(({ outcome }) => outcome === 'restored');
    expect(restored.map(({ control }) => control)).toHaveLength(101);
    expect([...threads.threads.values()].every(({ mask }) => mask.join() === '0,1')).toBe(true);
  });

  it('are restored from the journal by another process', () => {
    const tree = treeWith([]);
    threads.add(500, '/', [[0, 1]]);
    governed(tree).apply(pointOf({ web: [1] }));
    const restored = restoreFromJournal({ journalPath: bench.journalPath, tree, owners: ownersOf(tree, threads) });
    expect(restored.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
    expect(threads.maskOf(500)).toEqual([0, 1]);
  });
});

describe('a write that the kernel refuses', () => {
  it('is told, leaves the service what it has, and is tried again after a while', () => {
    const tree = treeWith([WEB]);
    threads.add(500, WEB, [[0, 1]]);
    const actuator = governed(tree);
    tree.fail(FILE, 'write', 'EROFS', 1);
    const apply = () => actuator.apply(pointOf({ web: [1] })).cpus![0]!;
    expect(apply()).toMatchObject({ outcome: 'refused', appliedCpus: [0, 1], detail: 'write 1: EROFS' });
    expect(apply().outcome).toBe('refused');
    bench.nowMs += 6000;
    expect(apply()).toMatchObject({ outcome: 'applied', appliedCpus: [1] });
  });
});

describe('a dry run', () => {
  it.each(['auto', 'threads'] as const)('shows what would be, and changes nothing: %s', (method) => {
    const base = treeWith([WEB]);
    threads.add(500, WEB, [[0, 1]]);
    const tree = dryRunTree(base);
    const owners = rememberedOwners(tree, ownersOf(base, threads));
    const actuator = governed(base, { method }, { pids: [500] }, { tree, owners, journalPath: null });
    expect(actuator.apply(pointOf({ web: [1] })).cpus![0]).toMatchObject({ appliedCpus: [1], outcome: 'applied' });
    expect(actuator.apply(pointOf({ web: [0, 1] })).cpus![0]).toMatchObject({ appliedCpus: [0, 1] });
    actuator.release('original');
    expect(text(base, FILE)).toBe('');
    expect(threads.writes).toEqual([]);
  });
});

describe('a service that is governed no longer', () => {
  it('has its CPUs back at once', () => {
    const tree = treeWith([WEB]);
    threads.add(500, WEB, [[0, 1]]);
    const actuator = governed(tree);
    actuator.apply(pointOf({ web: [1] }));
    actuator.apply(pointOf({}));
    expect(text(tree, `${FILE}.effective`)).toBe('0-1');
  });
});

describe('whatever happens', () => {
  it('every control has its original effect at the end', () => {
    const event = fc.oneof(
      fc.record({ kind: fc.constant('grant' as const), cpus: fc.constantFrom([0], [1], [0, 1]) }),
      fc.record({ kind: fc.constant('fault' as const), errno: fc.constantFrom('EIO', 'EBUSY', 'EINVAL') }),
      fc.record({ kind: fc.constant('plug' as const), online: fc.boolean() }),
      fc.record({ kind: fc.constant('foreign' as const), cpu: fc.integer({ min: 0, max: 1 }) }),
      fc.record({ kind: fc.constant('thread' as const), mask: fc.constantFrom([0], [1], [0, 1]) }),
    );
    const property = fc.property(
      fc.constantFrom('auto' as const, 'threads' as const),
      fc.constantFrom('', '0-1'),
      fc.array(event, { maxLength: 12 }),
      (method, original, events) => {
        const tree = treeWith([WEB], original);
        threads = new FakeThreads();
        threads.add(500, WEB, [[0, 1], [1]]);
        const actuator = governed(tree, { method });
        let tid = 600;
        for (const happens of events) {
          bench.nowMs += 1100;
          switch (happens.kind) {
            case 'grant':
              actuator.apply(pointOf({ web: happens.cpus }));
              break;
            case 'fault':
              tree.fail(FILE, 'write', happens.errno, 1);
              break;
            case 'plug':
              tree.write('devices/system/cpu/cpu1/online', happens.online ? '1' : '0');
              break;
            case 'foreign':
              tree.write(FILE, String(happens.cpu));
              break;
            case 'thread':
              threads.threads.set(tid++, { pid: 500, startTicks: tid, mask: happens.mask });
          }
        }
        tree.write('devices/system/cpu/cpu1/online', '1');
        tree.fail(FILE, 'write', 'EIO', 0);
        const journaled = readFileSync(bench.journalPath, 'utf8').includes(FILE);
        const failed = actuator.release('original').filter(({ outcome }) => outcome === 'failed');
        expect(failed).toEqual([]);
        // What somebody else wrote before we came to it is theirs.
        if (journaled && !events.some(({ kind }) => kind === 'foreign')) {
          expect(text(tree, `${FILE}.effective`)).toBe('0-1');
        }
        expect(threads.maskOf(500)).toEqual([0, 1]);
        expect(threads.maskOf(501)).toEqual([1]);
        expect(parseCpuList(text(tree, FILE))).toBeDefined();
      },
    );
    fc.assert(property, { numRuns: 60 });
  });
});
