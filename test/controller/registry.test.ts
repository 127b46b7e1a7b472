import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { controllers } from '../../src/controller/registry.ts';
import type { ControllerInput } from '../../src/core/controller.ts';
import { describeParameters } from '../../src/policy/describe-parameters.ts';

const ns = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1e18, noNaN: true }));
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
const share = fc.double({ min: 0, max: 1, noNaN: true });

const anyInput: fc.Arbitrary<ControllerInput> = fc
  .record({
    slo: fc.record({
      quantile: fc.double({ min: 0.5, max: 0.9999, noNaN: true }),
      latencyNs: fc.double({ min: 1e3, max: 1e12, noNaN: true }),
      windowMs: fc.constant(60_000),
    }),
    observation: fc.record({
      health: fc.constantFrom('active', 'idle', 'stall', 'silence'),
      alarmed: fc.boolean(),
      windowMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
      requests: fc.nat(5000),
      overSlo: fc.nat(5000),
      quantileNs: maybe(ns),
      medianNs: maybe(ns),
      handlingQuantileNs: maybe(ns),
      handlingVariability: maybe(fc.double({ min: 1, max: 1e6, noNaN: true })),
      socketWaitNs: maybe(ns),
      handlingTimeNs: maybe(ns),
      latest: fc.record({
        windowMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
        arrivals: fc.nat(5000),
        requests: fc.nat(5000),
        overSlo: fc.nat(5000),
        quantileNs: maybe(ns),
      }),
      inFlight: fc.nat(1e6),
      oldestInFlightNs: ns,
      throughputRps: fc.double({ min: 0, max: 1e7, noNaN: true }),
      utilization: maybe(share),
      demandNs: maybe(ns),
    }),
    elapsedMs: fc.double({ min: 0, max: 1e7, noNaN: true }),
    appliedLevel: share,
    limits: fc.tuple(share, share).map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) })),
  })
  .map((given) => given satisfies ControllerInput);

describe.each(Object.values(controllers))('controller $name', (kind) => {
  it('answers a finite level within the limits and a reason, whatever it is given', () => {
    const controller = kind.create({});
    fc.assert(
      fc.property(share, fc.array(anyInput, { minLength: 1, maxLength: 8 }), (from, inputs) => {
        let state = controller.initial(from);
        for (const given of inputs) {
          const output = controller.step(given, state);
          expect(output.level).toBeGreaterThanOrEqual(given.limits.min);
          expect(output.level).toBeLessThanOrEqual(given.limits.max);
          expect(output.reason).not.toMatch(/NaN|undefined|Infinity/);
          expect(output.reason.length).toBeGreaterThan(5);
          state = output.state;
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is registered under its own name, and its controllers bear it', () => {
    expect(controllers[kind.name]).toBe(kind);
    expect(kind.create({}).name).toBe(kind.name);
  });

  it('describes every parameter and refuses what it does not know', () => {
    for (const parameter of describeParameters(kind)) expect(parameter.description, parameter.name).not.toBe('');
    expect(kind.parameters.safeParse({ nonsense: 1 }).success).toBe(false);
  });

  it('accepts its own defaults as a file would write them', () => {
    const written = describeParameters(kind).flatMap(({ name, default: value }) =>
      value === undefined ? [] : [[name, value]],
    );
    expect(kind.parameters.parse(Object.fromEntries(written))).toEqual(kind.parameters.parse({}));
  });
});

describe('controller fixed', () => {
  it('stays at its level, within the limits', () => {
    const controller = controllers['fixed']!.create({ level: 0.6 });
    fc.assert(
      fc.property(anyInput, (given) => {
        const { min, max } = given.limits;
        expect(controller.step(given, controller.initial(1)).level).toBe(Math.min(max, Math.max(min, 0.6)));
      }),
    );
  });
});
