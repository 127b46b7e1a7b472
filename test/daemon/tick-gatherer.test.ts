import { describe, expect, it } from 'vitest';
import type { Applied } from '../../src/core/actuator.ts';
import type { TickReport } from '../../src/core/tick-report.ts';
import type { TicksMessage } from '../../src/daemon/loop-messages.ts';
import { TickGatherer } from '../../src/daemon/tick-gatherer.ts';
import { snapshotOf } from '../loop/support.ts';

const nothingApplied: Applied = {
  point: { frequencyKhz: {}, cpus: {} },
  frequencies: [],
  writes: 0,
  disturbances: [],
  disturbanceCounts: { 'foreign-writer': 0, limit: 0, failure: 0, machine: 0 },
};

function bench() {
  let wallMs = 10_000;
  const posted: TicksMessage[] = [];
  const gatherer = new TickGatherer({ wallMs: () => wallMs, monotonicNs: () => 0n }, (message) => posted.push(message));
  const point: Partial<TickReport> = { asked: { frequencyKhz: {}, cpus: {} }, applied: nothingApplied };
  let tick = 0;
  return {
    point,
    gatherer,
    posted,
    ticks: () => posted.map((message) => message.ticks.map(({ report }) => (JSON.parse(report) as TickReport).tick)),
    add: (atMs: number, { services = ['web'], faults = [] as string[], requests = 1, intervalMs = 100 } = {}) => {
      wallMs = atMs;
      const report = { tick: tick++, faults, services: services.map((service) => ({ service })), ...point };
      const snapshots = services.map(() => snapshotOf(requests, 1000));
      gatherer.add(report as unknown as TickReport, 0, snapshots, intervalMs);
    },
  };
}

describe('TickGatherer', () => {
  it('hands over the ticks of a second when no other of them is to be expected', () => {
    const { add, ticks, posted } = bench();
    for (let atMs = 10_050; atMs < 12_000; atMs += 100) add(atMs);
    expect(ticks()).toEqual([
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      [10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
    ]);
    expect(posted[0]!.ticks.map(({ wallMs }) => wallMs)).toEqual(
      Array.from({ length: 10 }, (_, i) => 10_050 + i * 100),
    );
  });

  it('tells of each tick what was asked and applied in it', () => {
    const { add, posted, gatherer, point } = bench();
    const told = [0, 0, 3, 0].map((writes, index) => {
      // The third is another object, the others are one.
      if (writes > 0) Object.assign(point, { applied: { ...nothingApplied, writes } });
      else Object.assign(point, { applied: nothingApplied });
      add(10_000 + index * 100);
      return { ...point, tick: index, faults: [], services: [{ service: 'web' }] };
    });
    gatherer.flush();
    expect(posted[0]!.ticks.map(({ report }) => JSON.parse(report) as unknown)).toEqual(told);
  });

  it('holds back no tick that is slow to be followed', () => {
    const { add, ticks } = bench();
    for (const atMs of [10_000, 12_000]) add(atMs, { intervalMs: 2000 });
    expect(ticks()).toEqual([[0], [1]]);
  });

  it('adds up the times of a message, service by service', () => {
    const { add, posted, gatherer } = bench();
    add(10_000, { services: ['web', 'db'], requests: 2 });
    add(10_100, { services: ['web', 'db'], requests: 3 });
    add(10_200, { services: ['web', 'db'], requests: 0 });
    gatherer.flush();
    expect(posted[0]!.times.map((times) => [times!.latency.inUse[1], times!.latency.sumNs])).toEqual([
      [5, 5000],
      [5, 5000],
    ]);
    add(10_300, { requests: 0 });
    gatherer.flush();
    expect(posted[1]!.times).toEqual([null]);
  });

  it('never mixes seconds or services, whatever the clock does', () => {
    const { add, ticks, gatherer } = bench();
    add(10_100);
    add(11_300);
    add(4_200);
    add(4_300, { services: ['web', 'db'] });
    gatherer.flush();
    gatherer.flush();
    expect(ticks()).toEqual([[0], [1], [2], [3]]);
  });

  it('hands over a fault at once', () => {
    const { add, ticks } = bench();
    add(10_100);
    add(10_200, { faults: ['lost'] });
    expect(ticks()).toEqual([[0, 1]]);
  });
});
