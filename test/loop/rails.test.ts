import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Controller, ControllerInput } from '../../src/core/controller.ts';
import { ObservationWindow } from '../../src/loop/observation-window.ts';
import { railedStep } from '../../src/loop/rails.ts';
import { SLO, snapshotOf } from './support.ts';

const input: ControllerInput = {
  slo: SLO,
  observation: new ObservationWindow(SLO).observe(snapshotOf(10, 1000), false),
  elapsedMs: 100,
  appliedLevel: 0.5,
  limits: { min: 0.2, max: 0.9 },
};

const answering = (level: number): Controller => ({
  name: 'test',
  initial: (at) => ({ at }),
  step: () => ({ level, state: 'next', reason: 'because' }),
});

describe('railedStep()', () => {
  it('clamps any level into the limits and keeps what was asked', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (asked) => {
        const step = railedStep(answering(asked), input, null);
        expect(step.askedLevel).toBe(asked);
        expect(step.level).toBeGreaterThanOrEqual(0.2);
        expect(step.level).toBeLessThanOrEqual(0.9);
        expect(step.fault).toBeUndefined();
      }),
    );
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'answers %s with the highest level',
    (level) => {
      const step = railedStep(answering(level), input, 'old');
      expect(step).toMatchObject({ level: 0.9, state: { at: 0.9 } });
      expect(step.fault).toContain(`answered level ${level}`);
    },
  );

  it('answers a controller that throws with the highest level and a fresh state', () => {
    const throwing: Controller = {
      ...answering(0.5),
      step: () => {
        throw new Error('no idea');
      },
    };
    const step = railedStep(throwing, input, 'old');
    expect(step).toMatchObject({ level: 0.9, state: { at: 0.9 }, fault: 'controller test failed: no idea' });
  });
});
