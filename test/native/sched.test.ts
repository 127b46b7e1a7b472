import { spawn } from 'node:child_process';
import { getPriority } from 'node:os';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { NativeError } from '../../src/native/native-error.ts';
import {
  affinityOf,
  cpusOf,
  currentTid,
  maskOf,
  schedulingOf,
  setAffinity,
  setFifo,
  setNice,
} from '../../src/native/sched.ts';

const NO_SUCH_TID = 2 ** 22 + 1;

describe('the mask of a set of CPUs', () => {
  it('gives the set back, in order and once each', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(65_535), { maxLength: 20 }), (cpus) => {
        const once = [...new Set(cpus)].sort((a, b) => a - b);
        expect(cpusOf(maskOf(cpus))).toEqual(once);
      }),
      { numRuns: 30 },
    );
  });

  it('has CPU i at bit i and is whole words long', () => {
    expect([...maskOf([0, 9, 64]).subarray(0, 9)]).toEqual([1, 2, 0, 0, 0, 0, 0, 0, 1]);
    expect(maskOf([]).length).toBe(128);
    expect(maskOf([1023]).length).toBe(128);
    expect(maskOf([1024]).length).toBe(136);
  });

  it.each([-1, 0.5, 65_536, Number.NaN])('refuses %d as a CPU', (cpu) => {
    expect(() => maskOf([0, cpu])).toThrow(`no CPU has the number ${cpu}`);
  });
});

describe('the affinity of a thread', () => {
  const before = affinityOf(0);
  afterEach(() => setAffinity(0, before));

  it('is set and read back', () => {
    const cpu = before.at(-1)!;
    setAffinity(currentTid(), [cpu]);
    expect(affinityOf(currentTid())).toEqual([cpu]);
    expect(affinityOf(0)).toEqual([cpu]);
  });

  it('may name more CPUs than a word has bits: those that do not exist are left out', () => {
    setAffinity(0, [before[0]!, 70, 4095]);
    expect(affinityOf(0)).toContain(before[0]);
    expect(affinityOf(0).every((cpu) => before.includes(cpu))).toBe(true);
  });

  it('cannot be empty', () => {
    const error = expect(() => setAffinity(0, []));
    error.toThrow(NativeError);
    error.toThrow('set the affinity of thread 0: EINVAL');
    expect(affinityOf(0)).toEqual(before);
  });

  it('says ESRCH of a thread that does not exist', () => {
    expect(() => affinityOf(NO_SUCH_TID)).toThrow(`read the affinity of thread ${NO_SUCH_TID}: ESRCH`);
    expect(() => setAffinity(NO_SUCH_TID, before)).toThrow(`set the affinity of thread ${NO_SUCH_TID}: ESRCH`);
  });
});

describe('the scheduling of a thread', () => {
  /** A process of our own, whose only thread has its id. */
  const sleeper = spawn('sleep', ['60'], { stdio: 'ignore' });
  const tid = sleeper.pid!;
  const mayDoAnything = process.getuid!() === 0;
  afterAll(() => sleeper.kill());

  it('is ordinary, and becomes real-time for who may', () => {
    expect(schedulingOf(tid)).toBe('normal');
    if (mayDoAnything) setFifo(tid, 1);
    else expect(() => setFifo(tid, 1)).toThrow('EPERM');
    expect(schedulingOf(tid)).toBe(mayDoAnything ? 'fifo' : 'normal');
  });

  it('has a nice value', () => {
    setNice(tid, 5);
    expect(getPriority(tid)).toBe(5);
  });

  it('is none of a thread that does not exist', () => {
    expect(() => schedulingOf(NO_SUCH_TID)).toThrow(`read the scheduling of thread ${NO_SUCH_TID}: ESRCH`);
    expect(() => setFifo(NO_SUCH_TID, 1)).toThrow('ESRCH');
    expect(() => setNice(NO_SUCH_TID, 1)).toThrow('ESRCH');
  });
});
