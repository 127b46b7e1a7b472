import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Controller, ControllerInput } from '../../src/core/controller.ts';
import { ObservationWindow } from '../../src/loop/observation-window.ts';
import type { Law } from '../../src/loop/law.ts';
import { FAULTS_TO_FAIL, RailedLaw, railedStep } from '../../src/loop/rails.ts';
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
      expect(step).toMatchObject({ level: 0.9, state: undefined });
      expect(step.fault).toContain(`answered level ${level}`);
    },
  );

  it('answers a controller that throws with the highest level, and forgets its state', () => {
    const throwing: Controller = {
      ...answering(0.5),
      step: () => {
        throw new Error('no idea');
      },
    };
    const step = railedStep(throwing, input, 'old');
    expect(step).toMatchObject({ level: 0.9, state: undefined, fault: 'controller test failed: no idea' });
  });
});

/** Answers what a test puts into `answer`; an Error is thrown. */
function scripted(name = 'scripted') {
  const script = { answer: 0.5 as number | Error, starts: [] as number[] };
  const controller: Controller<{ steps: number }> = {
    name,
    initial: (level) => {
      script.starts.push(level);
      return { steps: 0 };
    },
    step: (_, state) => {
      if (script.answer instanceof Error) throw script.answer;
      return { level: script.answer, state: { steps: state.steps + 1 }, reason: `step ${state.steps}` };
    },
  };
  return { script, controller };
}

const lawOf = (controller: Controller, more: Partial<Law> = {}): Law => ({
  controller,
  intervalMs: 100,
  limits: { min: 0.2, max: 0.9 },
  ...more,
});

describe('RailedLaw', () => {
  it('lets a level rise and fall no faster than allowed, and says so', () => {
    const { script, controller } = scripted();
    const railed = new RailedLaw(lawOf(controller, { slew: { risePerS: 2, fallPerS: 0.5 } }), 0.5);
    script.answer = 0.9;
    expect(railed.step(input)).toMatchObject({ askedLevel: 0.9, reason: 'step 0; slew-limited' });
    expect(railed.step(input).level).toBeCloseTo(0.9, 6);
    script.answer = 0.2;
    expect(railed.step(input).level).toBeCloseTo(0.85, 6);
    expect(railed.step({ ...input, elapsedMs: 1000 }).level).toBeCloseTo(0.35, 6);
  });

  it('rests where the law rests, but not on the way to its level', () => {
    const controller: Controller = {
      ...answering(0.4),
      step: () => ({ level: 0.4, state: 0, reason: 'low', rests: true }),
    };
    const railed = new RailedLaw(lawOf(controller, { slew: { fallPerS: 0.75 } }), 0.5);
    expect([1, 2, 3].map(() => railed.step(input).rests)).toEqual([undefined, true, true]);
  });

  it('never moves faster than the slew limits nor leaves the range, whatever is asked', () => {
    const { script, controller } = scripted();
    const steps = fc.array(fc.tuple(fc.double({ noNaN: true, min: -5, max: 5 }), fc.integer({ min: 1, max: 2000 })));
    fc.assert(
      fc.property(steps, (asked) => {
        const railed = new RailedLaw(lawOf(controller, { slew: { risePerS: 1, fallPerS: 0.25 } }), 0.5);
        let before = 0.5;
        for (const [answer, elapsedMs] of asked) {
          script.answer = answer;
          const { level } = railed.step({ ...input, elapsedMs });
          expect(level).toBeGreaterThanOrEqual(Math.max(0.2, before - 0.25 * (elapsedMs / 1000)) - 1e-9);
          expect(level).toBeLessThanOrEqual(Math.min(0.9, before + elapsedMs / 1000) + 1e-9);
          before = level;
        }
      }),
    );
  });

  it('is not slowed down on the way to the safe level', () => {
    const { script, controller } = scripted();
    const railed = new RailedLaw(lawOf(controller, { slew: { risePerS: 0.1 } }), 0.3);
    script.answer = Number.NaN;
    expect(railed.step(input).level).toBe(0.9);
  });

  it('starts a controller anew after a fault, from where the machine is then, and forgives faults that end', () => {
    const { script, controller } = scripted();
    const railed = new RailedLaw(lawOf(controller), 0.3);
    for (let round = 0; round < 5; round++) {
      script.answer = new Error('lost');
      for (let fault = 1; fault < FAULTS_TO_FAIL; fault++) expect(railed.step(input).fault).toBeDefined();
      script.answer = 0.5;
      expect(railed.step({ ...input, appliedLevel: 0.9 })).toMatchObject({ level: 0.5, reason: 'step 0' });
    }
    expect(railed.failed).toBeUndefined();
    expect(script.starts.at(-1)).toBe(0.9);
  });

  it('gives a controller up that goes on failing, for the fallback, and says why', () => {
    const { script, controller } = scripted();
    const fallback = scripted('spare');
    fallback.script.answer = 0.6;
    const railed = new RailedLaw(lawOf(controller, { fallback: fallback.controller }), 0.3);
    script.answer = new Error('lost');
    const steps = Array.from({ length: FAULTS_TO_FAIL }, () => railed.step(input));
    expect(steps.map(({ level }) => level)).toEqual([0.9, 0.9, 0.9]);
    expect(steps.at(-1)!.fault).toContain('spare takes its place');
    script.answer = 0.5;
    expect(railed.step(input)).toMatchObject({ level: 0.6, reason: 'step 0' });
    expect(railed).toMatchObject({ failed: 'controller scripted failed: lost', controllerName: 'spare' });
  });

  it('ends at full speed when the fallback fails, too, or there is none', () => {
    const { script, controller } = scripted();
    const fallback = scripted('spare');
    script.answer = fallback.script.answer = Number.POSITIVE_INFINITY;
    for (const more of [{ fallback: fallback.controller }, {}]) {
      const railed = new RailedLaw(lawOf(controller, more), 0.3);
      for (let step = 0; step < 2 * FAULTS_TO_FAIL; step++) railed.step(input);
      expect(railed.step(input)).toMatchObject({ level: 0.9, reason: 'full speed' });
      expect(railed.step(input).fault).toBeUndefined();
      expect(railed.failed).toContain('answered level Infinity');
    }
  });

  it('survives a controller that cannot even start', () => {
    const stillborn: Controller = {
      ...answering(0.5),
      initial: () => {
        throw new Error('no memory');
      },
    };
    const railed = new RailedLaw(lawOf(stillborn), 0.3);
    expect(railed.step(input)).toMatchObject({ level: 0.9, fault: 'controller test cannot start: no memory' });
    for (let step = 1; step < FAULTS_TO_FAIL; step++) railed.step(input);
    expect(railed.failed).toBe('controller test cannot start: no memory');
  });

  it('keeps state and failures under a law with the same controller, and starts afresh with another', () => {
    const { script, controller } = scripted();
    const railed = new RailedLaw(lawOf(controller), 0.3);
    railed.step(input);
    const narrower = railed.continuedBy(lawOf(controller, { limits: { min: 0.7, max: 0.8 } }), 0.5);
    expect(narrower.step(input)).toMatchObject({ level: 0.7, reason: 'step 1' });
    script.answer = new Error('lost');
    for (let step = 0; step < FAULTS_TO_FAIL; step++) narrower.step(input);
    expect(narrower.continuedBy(lawOf(controller), 0.5).failed).toBeDefined();
    expect(narrower.continuedBy(lawOf(scripted().controller), 0.5).failed).toBeUndefined();
  });
});
