import { describe, expect, it } from 'vitest';
import { NS_PER_MS } from '../../src/core/units.ts';
import { ReportGate } from '../../src/daemon/report-gate.ts';
import type { Pace } from '../../src/loop/punctuality.ts';

/** Of ticks every 10 ms from a time beyond 2^53 ns on: the numbers of those that are told of. */
function told(count: number, pace: (tick: number) => Pace, faultsIn: (tick: number) => number = () => 0) {
  const gate = new ReportGate();
  const atNs = (tick: number) => 2n ** 53n + BigInt(tick * 10 * NS_PER_MS);
  return Array.from({ length: count }, (_, tick) => tick).filter((tick) =>
    gate.passes(pace(tick), faultsIn(tick), atNs(tick)),
  );
}

describe('ReportGate', () => {
  it('lets every report pass while the loop keeps time', () => {
    expect(told(50, () => 'punctual')).toHaveLength(50);
  });

  it.each(['hurried', 'overrun'] as const)(
    'lets one a second pass while the loop is %s, and all again after it',
    (pace) => {
      expect(told(400, (tick) => (tick >= 50 && tick < 350 ? pace : 'punctual'))).toEqual([
        ...Array.from({ length: 50 }, (_, tick) => tick),
        ...[149, 249, 349],
        ...Array.from({ length: 50 }, (_, tick) => 350 + tick),
      ]);
    },
  );

  it('never keeps back what went wrong', () => {
    expect(
      told(
        100,
        () => 'overrun',
        (tick) => (tick % 40 === 30 ? 1 : 0),
      ),
    ).toEqual([0, 30, 70]);
  });
});
