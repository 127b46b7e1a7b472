import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { controllers } from '../../src/controller/registry.ts';
import { PolicyError } from '../../src/core/errors.ts';
import { loadPolicy, policyOf } from '../../src/policy/load-policy.ts';
import { parseYaml } from '../../src/policy/yaml-file.ts';
import { problemsOf, scratchFiles } from './scratch-files.ts';

const files = scratchFiles();
const parse = (text: string) => policyOf(parseYaml('x.yaml', text), controllers);
const READY = readdirSync('policies').filter((name) => name.endsWith('.yaml'));

describe('loadPolicy()', () => {
  it('fills in every default', () => {
    const policy = loadPolicy(
      files.write('short.yaml', 'controller: threshold\nparameters: { hold: 2s }\n'),
      controllers,
    );
    expect(policy).toMatchObject({ controllerName: 'threshold', intervalMs: 100, level: { min: 0, max: 1 } });
    expect(policy.parameters).toMatchObject({ farOver: 1.35, hold: '2s', dwell: '1s', safeLevel: 1 });
    expect(policy.controller.name).toBe('threshold');
  });

  it('gives the controller the parameters', () => {
    const { controller } = parse('controller: fixed\nparameters: { level: 0.4 }\n');
    const { level } = controller.step({ limits: { min: 0, max: 1 } } as never, controller.initial(1));
    expect(level).toBe(0.4);
  });

  it('tells all problems of a file at once, each at its place', () => {
    const text = `controller: pid
interval: 1ms
parameters: { setpiont: 0.85, kp: high, idleAfter: 5 }
level: { min: 2 }
schedule: []
`;
    expect(problemsOf(() => parse(text))).toEqual([
      '2:11: "1ms" given, expected a duration from 10ms up to 10s such as 100ms, 5s or 1min',
      expect.stringMatching(
        /^3:15: unknown key "setpiont", did you mean "setpoint"\? expected setpoint, kp, .* or safeLevel$/,
      ),
      '3:35: "high" given, expected a number',
      '3:52: 5 given, expected a duration such as 100ms, 5s or 1min',
      '4:15: 2 given, expected at most 1',
      '5:1: unknown key "schedule", expected controller, interval, parameters or level',
    ]);
  });

  it('names the controller that was meant', () => {
    expect(problemsOf(() => parse('controller: treshold\n'))).toEqual([
      '1:13: "treshold" given, did you mean "threshold"? expected pid, threshold or fixed',
    ]);
  });

  it('refuses what is no policy at all', () => {
    expect(problemsOf(() => parse('- 1\n'))).toEqual(['1:1: [1] given, expected a mapping']);
    expect(problemsOf(() => parse(''))).toEqual(['1:1: null given, expected a mapping']);
    expect(problemsOf(() => parse('controller: pid\nparameters: 3\n'))).toEqual(['2:13: 3 given, expected a mapping']);
    expect(problemsOf(() => parse('interval: 1s\n'))).toEqual([
      '1:1: controller is missing, expected pid, threshold or fixed',
    ]);
  });

  it('refuses numbers that are none and an upside-down level range', () => {
    expect(problemsOf(() => parse('controller: pid\nparameters: { kp: .nan }\n'))[0]).toMatch(/^2:19: NaN given/);
    expect(problemsOf(() => parse('controller: pid\nlevel: { min: 0.8, max: 0.5 }\n'))).toEqual([
      '2:15: 0.8 given, expected at most max, 0.5',
    ]);
  });

  it.each(READY)('accepts policies/%s', (name) => {
    expect(loadPolicy(`policies/${name}`, controllers).file).toBe(`policies/${name}`);
  });

  it.each(['pid.yaml', 'threshold.yaml'])('finds in policies/%s the defaults that its comments promise', (name) => {
    const policy = loadPolicy(`policies/${name}`, controllers);
    expect(policy).toMatchObject({ parameters: parse(`controller: ${policy.controllerName}`).parameters });
  });

  it('answers any mutation of a policy with a policy or a PolicyError', () => {
    const originals = READY.map((name) => readFileSync(`policies/${name}`, 'utf8'));
    const edit = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      cut: fc.nat(12),
      insert: fc.oneof(
        fc.string({ maxLength: 8 }),
        fc.constantFrom(': ', '\n', '- ', '{', '[', '&a ', '*a', '!!int ', '.nan', '__proto__: 1\n', '1e999'),
      ),
    });
    fc.assert(
      fc.property(fc.constantFrom(...originals), fc.array(edit, { minLength: 1, maxLength: 6 }), (original, edits) => {
        let text = original;
        for (const { at, cut, insert } of edits) {
          const offset = Math.floor(at * text.length);
          text = text.slice(0, offset) + insert + text.slice(offset + cut);
        }
        try {
          expect(parse(text).controller.name).not.toBe('');
        } catch (error) {
          expect(error).toBeInstanceOf(PolicyError);
          for (const { line, column, message } of (error as PolicyError).problems) {
            expect(line).toBeGreaterThan(0);
            expect(column).toBeGreaterThan(0);
            expect(message).not.toBe('');
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
