import { describe, expect, it } from 'vitest';
import { NS_PER_MS } from '../../src/core/units.ts';
import { ALARM_BITS, CONTROL } from '../../src/sensor/layout.ts';
import { TargetControl } from '../../src/sensor/target-control.ts';

const SPEC = {
  name: 'web',
  ports: [80],
  sloLatencyNs: 2 * NS_PER_MS,
  alarm: { lateBudget: 2, lateRatio: 0.02, waitBudgetNs: NS_PER_MS, waitingRatio: 0.005 },
};
const FEW = { requests: 100, windowNs: 100 * NS_PER_MS };
/** 4000 of them beyond 10 a ms. */
const MANY = { requests: 5000, windowNs: 100 * NS_PER_MS };
const { late, waiting } = ALARM_BITS;

function controlOf(spec: ConstructorParameters<typeof TargetControl>[2]) {
  // Behind another target's.
  const buffer = new ArrayBuffer(2 * CONTROL.bytes);
  const words = new Uint32Array(buffer, CONTROL.bytes);
  return {
    control: new TargetControl({ buffer }, CONTROL.bytes, spec),
    words,
    written: () => ({
      lateBudget: words[CONTROL.lateBudget / 4],
      waitingBudget: words[CONTROL.waitingBudget / 4],
      armed: words[CONTROL.armed / 4],
    }),
    other: new Uint32Array(buffer, 0, CONTROL.bytes / 4),
  };
}

describe('TargetControl', () => {
  it('begins with the objective and the least budgets, and with nothing armed', () => {
    const { words, written, other } = controlOf(SPEC);
    expect(words[CONTROL.sloNs / 4]).toBe(2 * NS_PER_MS);
    expect(words[CONTROL.waitBudgetNs / 4]).toBe(NS_PER_MS);
    expect(written()).toEqual({ lateBudget: 2, waitingBudget: 1, armed: 0 });
    expect(other.every((word) => word === 0)).toBe(true);
  });

  it('arms by what the window before held', () => {
    const { control, written } = controlOf(SPEC);
    const armed = late | waiting;
    control.arm('active', FEW);
    expect(written()).toEqual({ lateBudget: 2, waitingBudget: 1, armed });
    control.arm('active', MANY);
    expect(written()).toEqual({ lateBudget: 80, waitingBudget: 20, armed });
    control.arm('idle', { requests: 0, windowNs: NS_PER_MS });
    expect(written()).toEqual({ lateBudget: 2, waitingBudget: 1, armed: armed | ALARM_BITS['arrival-after-idle'] });
  });

  it('counts from the beginning once it is armed', () => {
    const { control, words } = controlOf(SPEC);
    words.fill(7, CONTROL.late / 4, CONTROL.late / 4 + 1);
    words.fill(7, CONTROL.waiting / 4, CONTROL.waiting / 4 + 1);
    control.arm('active', MANY);
    expect([words[CONTROL.late / 4], words[CONTROL.waiting / 4]]).toEqual([0, 0]);
  });

  it('armed anew for waits, counts those alone from the beginning, by the same budget', () => {
    const { control, words, written } = controlOf(SPEC);
    control.arm('active', MANY);
    words[CONTROL.armed / 4] = 0;
    words[CONTROL.late / 4] = 7;
    words[CONTROL.waiting / 4] = 20;
    control.rearm();
    expect(written()).toEqual({ lateBudget: 80, waitingBudget: 20, armed: waiting });
    expect([words[CONTROL.late / 4], words[CONTROL.waiting / 4]]).toEqual([7, 0]);
  });

  it('goes back to the least budgets of what it is aimed at', () => {
    const { control, written } = controlOf(SPEC);
    control.arm('active', MANY);
    control.aim({ ...SPEC, alarm: { ...SPEC.alarm, lateBudget: 5 } });
    expect(written()).toEqual({ lateBudget: 5, waitingBudget: 1, armed: late | waiting });
  });

  it('writes the most that fits in place of more', () => {
    const { control, written } = controlOf({ ...SPEC, alarm: { ...SPEC.alarm, lateRatio: 1e9, waitingRatio: 1e9 } });
    control.arm('active', MANY);
    expect(written()).toMatchObject({ lateBudget: 2 ** 32 - 1, waitingBudget: 2 ** 32 - 1 });
  });

  it('arms nothing where no alarm is wanted, and no longer is', () => {
    const { alarm, ...spec } = SPEC;
    const { control, written } = controlOf(spec);
    control.arm('idle', MANY);
    control.rearm();
    expect(written()).toMatchObject({ armed: 0 });
    control.aim({ ...spec, alarm });
    control.arm('active', FEW);
    expect(written()).toMatchObject({ armed: late | waiting });
    control.aim(spec);
    expect(written()).toMatchObject({ armed: 0 });
  });

  it('arms no late ones without an objective, and none that is disarmed', () => {
    const { sloLatencyNs: _, ...spec } = SPEC;
    const { control, written } = controlOf(spec);
    control.arm('active', FEW);
    expect(written()).toMatchObject({ armed: waiting });
    control.disarm('waiting');
    expect(written()).toMatchObject({ armed: 0 });
  });
});
