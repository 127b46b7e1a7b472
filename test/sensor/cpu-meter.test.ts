import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { NS_PER_S } from '../../src/core/units.ts';
import { CpuMeter } from '../../src/sensor/cpu-meter.ts';
import { type CpuTimes, parseStat, procTimes } from '../../src/sensor/process-times.ts';

/** Processes whose clocks are set by the test; each has a thread of the same id, and the threads that it is given. */
class Machine {
  nowNs = 1_000n * BigInt(NS_PER_S);
  readonly processes = new Map<number, CpuTimes>();
  readonly threads = new Map<number, Map<number, CpuTimes>>();
  threadLooks = 0;
  /** How long one look takes. */
  lookNs = 0n;

  readonly clock: Clock = { monotonicNs: () => this.nowNs, wallMs: () => 0 };
  readonly meter = new CpuMeter(this.clock, {
    ofProcess: (pid) => {
      this.nowNs += this.lookNs;
      return this.processes.get(pid);
    },
    ofThreads: (pid) => {
      this.threadLooks++;
      return new Map(this.threads.get(pid));
    },
  });

  pass(seconds: number): void {
    this.nowNs += BigInt(seconds * NS_PER_S);
  }
}

describe('CpuMeter', () => {
  it('knows nothing before it has looked at a process twice', () => {
    const machine = new Machine();
    expect(machine.meter.cpuTimeNs(NS_PER_S)).toBeNull();
    machine.processes.set(7, { startTicks: 1, cpuTicks: 5000 });
    machine.meter.look([7]);
    expect(machine.meter.cpuTimeNs(NS_PER_S)).toBeNull();
    expect(machine.meter.busiestThreadRatio).toBeNull();
  });

  it('adds up processes, and takes the rate of the last interval for windows of any length', () => {
    const machine = new Machine();
    machine.processes.set(7, { startTicks: 1, cpuTicks: 5000 }).set(8, { startTicks: 1, cpuTicks: 0 });
    machine.meter.look([7, 8]);
    machine.pass(2);
    machine.processes.set(7, { startTicks: 1, cpuTicks: 5060 }).set(8, { startTicks: 1, cpuTicks: 40 });
    machine.meter.look([]);
    // 100 ticks of 10 ms in 2 s.
    expect(machine.meter.cpuTimeNs(2 * NS_PER_S)).toBe(NS_PER_S);
    expect(machine.meter.cpuTimeNs(NS_PER_S / 10)).toBe(NS_PER_S / 20);
  });

  it('does not count what a process used before it was known, nor a successor with the same id', () => {
    const machine = new Machine();
    machine.processes.set(7, { startTicks: 1, cpuTicks: 0 });
    machine.meter.look([7]);
    machine.pass(1);
    machine.processes.set(7, { startTicks: 1, cpuTicks: 10 }).set(8, { startTicks: 1, cpuTicks: 9999 });
    machine.meter.look([8]);
    expect(machine.meter.cpuTimeNs(NS_PER_S)).toBe(NS_PER_S / 10);
    machine.pass(1);
    machine.processes.set(7, { startTicks: 500, cpuTicks: 77 }).set(8, { startTicks: 1, cpuTicks: 9999 });
    machine.meter.look([]);
    expect(machine.meter.cpuTimeNs(NS_PER_S)).toBe(0);
  });

  it('looks at the threads of those processes that have used CPU time', () => {
    const machine = new Machine();
    const busy = (ticks: number) => {
      machine.processes.set(7, { startTicks: 1, cpuTicks: ticks });
      machine.threads.set(7, new Map([[7, { startTicks: 1, cpuTicks: ticks }]]));
    };
    const looks: [number | null, number][] = [];
    for (const ticks of [10, 10, 60, 60, 85]) {
      busy(ticks);
      machine.threadLooks = 0;
      machine.meter.look([7]);
      looks.push([machine.meter.busiestThreadRatio, machine.threadLooks]);
      machine.pass(1);
    }
    expect(looks).toEqual([
      [null, 1],
      [0, 0],
      [0.5, 1],
      [0, 0],
      [0.25, 1],
    ]);
  });

  it('forgets processes that have ended', () => {
    const machine = new Machine();
    machine.processes.set(7, { startTicks: 1, cpuTicks: 0 });
    machine.meter.look([7]);
    machine.processes.clear();
    machine.pass(1);
    expect(machine.meter.look([])).toEqual([7]);
    expect(machine.meter.cpuTimeNs(NS_PER_S)).toBeNull();
    expect(machine.meter.look([])).toEqual([]);
  });

  it('names those that have ended, for whoever has the id next may serve somebody else', () => {
    const machine = new Machine();
    machine.processes.set(7, { startTicks: 1, cpuTicks: 0 }).set(9, { startTicks: 1, cpuTicks: 0 });
    // 8 came and went between two looks.
    expect(machine.meter.look([7, 8, 9])).toEqual([8]);
    machine.pass(1);
    machine.processes.set(7, { startTicks: 500, cpuTicks: 77 });
    expect(machine.meter.look([7])).toEqual([7]);
    // It serves the target all the same: it was found anew.
    machine.pass(1);
    expect(machine.meter.look([7])).toEqual([]);
    machine.pass(1);
    machine.processes.set(7, { startTicks: 500, cpuTicks: 87 });
    expect(machine.meter.look([])).toEqual([]);
    expect(machine.meter.cpuTimeNs(NS_PER_S)).toBe(NS_PER_S / 10);
  });

  it('tells the share of the busiest thread, never more than all of a CPU', () => {
    const machine = new Machine();
    machine.processes.set(7, { startTicks: 1, cpuTicks: 0 });
    const threads = new Map([10, 11, 12].map((tid): [number, CpuTimes] => [tid, { startTicks: 1, cpuTicks: 100 }]));
    machine.threads.set(7, threads);
    machine.meter.look([7]);
    machine.pass(1);
    threads.set(11, { startTicks: 1, cpuTicks: 160 }).set(12, { startTicks: 1, cpuTicks: 130 });
    threads.set(13, { startTicks: 9, cpuTicks: 5000 });
    machine.processes.set(7, { startTicks: 1, cpuTicks: 5090 });
    machine.meter.look([]);
    expect(machine.meter.busiestThreadRatio).toBeCloseTo(0.6);
    machine.pass(1);
    threads.set(11, { startTicks: 1, cpuTicks: 261 });
    machine.processes.set(7, { startTicks: 1, cpuTicks: 5191 });
    machine.meter.look([]);
    expect(machine.meter.busiestThreadRatio).toBe(1);
  });

  it('looks once a second, sooner while nothing is known, and less often where a look takes long', () => {
    const machine = new Machine();
    const { meter } = machine;
    expect(meter.isDue(machine.nowNs)).toBe(true);
    machine.processes.set(7, { startTicks: 1, cpuTicks: 0 });
    meter.look([7]);
    machine.pass(0.299);
    expect(meter.isDue(machine.nowNs)).toBe(false);
    machine.pass(0.001);
    expect(meter.isDue(machine.nowNs)).toBe(true);
    machine.processes.set(7, { startTicks: 1, cpuTicks: 15 });
    meter.look([7]);
    expect(meter.cpuTimeNs(1e9)).toBeCloseTo(0.5e9);
    machine.pass(0.999);
    expect(meter.isDue(machine.nowNs)).toBe(false);
    machine.pass(0.001);
    expect(meter.isDue(machine.nowNs)).toBe(true);
    machine.lookNs = 50_000_000n;
    meter.look([7]);
    machine.pass(4.9);
    expect(meter.isDue(machine.nowNs)).toBe(false);
    machine.pass(0.1);
    expect(meter.isDue(machine.nowNs)).toBe(true);
  });
});

describe('process times', () => {
  it('are read from the text of /proc/PID/stat, whatever the process is called', () => {
    const fields = 'S 1 2 3 4 -1 0 10 11 12 13 701 33 0 0 20 0 1 0 4242 1000 200';
    for (const name of ['redis-server', 'a b', ') S 9', '((']) {
      expect(parseStat(`123 (${name}) ${fields}\n`)).toEqual({ cpuTicks: 734, startTicks: 4242 });
    }
  });

  it('are there for this process and its threads, and not for one that is not there', () => {
    expect(procTimes.ofProcess(process.pid)!.cpuTicks).toBeGreaterThan(0);
    expect([...procTimes.ofThreads(process.pid).keys()]).toContain(process.pid);
    const noPid = 2 ** 22 + 1;
    expect(procTimes.ofProcess(noPid)).toBeUndefined();
    expect(procTimes.ofThreads(noPid).size).toBe(0);
  });
});
