import { describe, expect, it } from 'vitest';
import type { TickReport } from '../../src/core/tick-report.ts';
import { TickHistory } from '../../src/telemetry/tick-history.ts';

function add(history: TickHistory, tick: number, faults: string[] = []): void {
  const report = { tick, faults } as unknown as TickReport;
  history.add(report, JSON.stringify(report));
}

const numbersOf = (reports: readonly string[]) => reports.map((text) => (JSON.parse(text) as TickReport).tick);

describe('TickHistory', () => {
  it('gives what came after a tick, oldest first', () => {
    const history = new TickHistory(10);
    for (let tick = 0; tick < 5; tick++) add(history, tick);
    expect(numbersOf(history.after(2))).toEqual([3, 4]);
    expect(history.after(-1)).toHaveLength(5);
    expect(history.after(99)).toEqual([]);
  });

  it('keeps the newest up to its limit and counts faults of all', () => {
    const history = new TickHistory(10);
    for (let tick = 0; tick < 1000; tick++) add(history, tick, tick % 100 === 0 ? ['x'] : []);
    expect(numbersOf(history.after(-1))).toEqual([990, 991, 992, 993, 994, 995, 996, 997, 998, 999]);
    expect(history.last!.tick).toBe(999);
    expect(history.faults).toBe(10);
  });

  it('has no last tick before the first', () => {
    expect(new TickHistory().last).toBeNull();
  });
});
