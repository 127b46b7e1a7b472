import { describe, expect, it } from 'vitest';
import { expression, expressionLaw } from '../../src/controller/expression.ts';
import { NS_PER_MS } from '../../src/core/units.ts';
import { policyOf } from '../../src/policy/load-policy.ts';
import { parseYaml } from '../../src/policy/yaml-file.ts';
import { problemsOf } from '../policy/scratch-files.ts';
import { input, SLO } from './observation.ts';
import { runBench, summarize } from './queue-bench.ts';

type Given = Parameters<typeof expressionLaw>[0];
const law = (given: object) => expressionLaw(expression.parameters.parse(given) as Given);
const parse = (text: string) => policyOf(parseYaml('x.yaml', text), { expression });

describe('expressionLaw()', () => {
  it('computes the level from signals in milliseconds', () => {
    const given = input({ quantileNs: 16 * NS_PER_MS });
    const controller = law({ level: 'quantile / target - 0.3' });
    const output = controller.step(given, controller.initial(0.5));
    expect(output.level).toBeCloseTo(0.5, 12);
    expect(output.reason).toBe('p99 16.0 ms: the formula says 50 %');
  });

  it('keeps state, starts it from the level it takes over at, and shows the level its new values', () => {
    const controller = law({ level: 'i', state: { i: { initial: 'level * 2', next: 'i - 0.1' } } });
    const first = controller.step(input(), controller.initial(0.4));
    expect(first.level).toBeCloseTo(0.7, 12);
    expect(controller.step(input(), first.state).level).toBeCloseTo(0.6, 12);
  });

  it('computes all next states from the present ones', () => {
    const state = { x: { initial: 0.2, next: 'y' }, y: { initial: 0.8, next: 'x' } };
    const controller = law({ level: 'x', state });
    const first = controller.step(input(), controller.initial(1));
    expect([first.level, controller.step(input(), first.state).level]).toEqual([0.8, 0.2]);
  });

  it('knows the level that it asked for and the one that was applied', () => {
    const controller = law({ level: 'level - 0.1 + 0 * applied' });
    const first = controller.step(input({}, { appliedLevel: 1 }), controller.initial(0.9));
    expect(controller.step(input({}, { appliedLevel: 1 }), first.state).level).toBeCloseTo(0.7, 12);
  });

  it('stays where it is while a signal that it needs is not known, and goes on where `??` says how', () => {
    const needs = law({ level: 'utilization' });
    const unknown = input({ utilization: null });
    const output = needs.step(unknown, needs.initial(0.6));
    expect([output.level, output.reason]).toEqual([
      0.6,
      'p99 16.0 ms, the formula needs what is not known: staying at 60 %',
    ]);
    const copes = law({ level: 'utilization ?? 0.3' });
    expect(copes.step(unknown, copes.initial(0.6)).level).toBe(0.3);
  });

  it('throws, for the rails to catch, where the formula itself has no value', () => {
    const controller = law({ level: 'log(applied - 1)' });
    expect(() => controller.step(input(), controller.initial(1))).toThrow('the level became NaN at applied 0.5');
    const state = law({ level: '1', state: { s: { next: '1 / (s - s)' } } });
    expect(() => state.step(input(), state.initial(1))).toThrow('state s became Infinity at s 0');
  });

  it.each([
    'quantile',
    'median',
    'target',
    'socketWait',
    'handlingTime',
    'demand ?? 1',
    'oldest',
    'window',
    'elapsed',
    'requests',
    'overSlo',
    'tolerated',
    'latestQuantile',
    'latestRequests',
    'latestOverSlo',
    'arrivalRate',
    'throughput',
    'inFlight',
    'utilization',
    'alarmed',
    'applied',
    'min',
    'max',
    'level',
  ])('offers the signal %s', (name) => {
    const controller = law({ level: `0.5 + 0 * (${name})` });
    expect(controller.step(input(), controller.initial(1)).reason).toContain('the formula says 50 %');
  });
});

describe('a policy with an expression', () => {
  it('is refused with the place inside the formula', () => {
    const text = `controller: expression
parameters:
  level: clamp(levl, 0, 1)
  state:
    i: { initial: "x", next: "i + a.b" }
    quantile: { next: '3' }
    9x: { next: "1 +" }
`;
    expect(problemsOf(() => parse(text))).toEqual([
      expect.stringMatching(/^3:16: unknown name "levl", expected one of level, quantile/),
      '5:20: unknown name "x", expected one of level',
      '5:31: a property found, expected arithmetic on signals and numbers',
      '6:15: quantile is a signal, expected another name',
      '7:9: "9x" is no name, expected a letter and then letters, digits or _',
      '7:21: cannot be parsed: unexpected end of expression',
    ]);
  });

  it('says where a folded formula begins when it cannot say more', () => {
    expect(problemsOf(() => parse('controller: expression\nparameters:\n  level: 1 +\n    levl\n'))).toEqual([
      expect.stringMatching(/^3:10: unknown name "levl"/),
    ]);
  });
});

describe('the expression controller on a queue', () => {
  it('meets the SLO below full speed with its default law', () => {
    const ticks = runBench({
      controller: expression.create({}),
      slo: SLO,
      serviceNs: NS_PER_MS,
      loadAt: () => 0.15,
      durationMs: 80_000,
    });
    const steady = summarize(ticks, SLO.quantile, 20_000);
    expect(steady.quantileMs).toBeLessThan(20);
    expect(steady.meanLevel).toBeLessThan(0.7);
  });
});
