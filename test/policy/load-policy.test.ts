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
    expect(policy.parameters).toMatchObject({ farOver: 1.35, hold: '2s', dwell: '500ms', safeLevel: 1 });
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
scedule: []
`;
    expect(problemsOf(() => parse(text))).toEqual([
      '2:11: "1ms" given, expected a duration from 10ms up to 10s such as 100ms, 5s or 1min',
      expect.stringMatching(
        /^3:15: unknown key "setpiont", did you mean "setpoint"\? expected setpoint, budget, .* or safeLevel$/,
      ),
      '3:35: "high" given, expected a number',
      '3:52: 5 given, expected a duration such as 100ms, 5s or 1min',
      '4:15: 2 given, expected at most 1',
      '5:1: unknown key "scedule", did you mean "schedule"? expected controller, interval, parameters, level, fallback or schedule',
    ]);
  });

  it('names the controller that was meant', () => {
    expect(problemsOf(() => parse('controller: treshold\n'))).toEqual([
      '1:13: "treshold" given, did you mean "threshold"? expected pid, threshold, model, utilization, expression or fixed',
    ]);
  });

  it('refuses what is no policy at all', () => {
    expect(problemsOf(() => parse('- 1\n'))).toEqual(['1:1: [1] given, expected a mapping']);
    expect(problemsOf(() => parse(''))).toEqual(['1:1: null given, expected a mapping']);
    expect(problemsOf(() => parse('controller: pid\nparameters: 3\n'))).toEqual(['2:13: 3 given, expected a mapping']);
    expect(problemsOf(() => parse('interval: 1s\n'))).toEqual([
      '1:1: controller is missing, expected pid, threshold, model, utilization, expression or fixed',
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

  it.each(['pid.yaml', 'threshold.yaml', 'model.yaml', 'utilization.yaml'])(
    'finds in policies/%s the defaults that its comments promise',
    (name) => {
      const policy = loadPolicy(`policies/${name}`, controllers);
      expect(policy).toMatchObject({ parameters: parse(`controller: ${policy.controllerName}`).parameters });
    },
  );

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

describe('a policy’s schedule', () => {
  const text = `controller: pid
parameters: { setpoint: 0.85, kp: 0.4 }
level: { min: 0.2, fall: 30/min }
schedule:
  - { cron: "0 22 * * *", timeZone: Europe/Berlin, set: { parameters: { setpoint: 0.95 }, level: { max: 0.5 }, interval: 1s } }
  - { cron: "0 6 * * *" }
`;

  it('puts each thing that a rule sets in the place of the policy’s own', () => {
    const { schedule, ...policy } = parse(text);
    expect(schedule[0]).toMatchObject({
      cron: '0 22 * * *',
      timeZone: 'Europe/Berlin',
      settings: {
        intervalMs: 1000,
        parameters: { setpoint: 0.95, kp: 0.4, ki: 1.2 },
        level: { min: 0.2, max: 0.5, fallPerS: 0.5 },
      },
    });
    expect(schedule[1]!.settings).toMatchObject({ intervalMs: 100, level: policy.level });
    // The same parameters, the same controller: its state goes on.
    expect(schedule[1]!.settings.controller).toBe(policy.controller);
    expect(schedule[0]!.settings.controller).not.toBe(policy.controller);
  });

  it('is checked as a whole, each problem at its place', () => {
    const bad = `controller: pid
schedule:
  - { cron: "61 * * * *", set: { parameters: { setpiont: 1 } } }
  - { cron: "@daily", timeZone: Mars/Base, set: { level: { min: 0.5, max: 0.4 } } }
  - { cron: "0 0 30 2 *", set: { parameters: { kp: high }, lever: 1 } }
  - { set: {} }
`;
    const problems = problemsOf(() => parse(bad.replace(', lever: 1', '').replace('  - { set: {} }\n', '')));
    expect(problems).toEqual([
      expect.stringMatching(/^3:13: "61 \* \* \* \*" given: .*out of range, expected a cron expression such as/),
      expect.stringMatching(/^3:48: unknown key "setpiont", did you mean "setpoint"\?/),
      '4:33: "Mars/Base" given, expected a time zone such as Europe/Berlin or UTC',
      '4:65: 0.5 given, expected at most max, 0.4',
      expect.stringMatching(/^5:13: .*no day matches it within eight years/),
      '5:52: "high" given, expected a number',
    ]);
    expect(problemsOf(() => parse(bad))).toEqual([
      expect.stringMatching(/^5:60: unknown key "lever", did you mean "level"\?/),
      expect.stringMatching(/^6:5: cron is missing, expected a cron expression/),
    ]);
  });
});

describe('a policy’s fallback', () => {
  it('is full speed, or a controller with parameters of its own', () => {
    expect(parse('controller: pid\n').fallback).toBeNull();
    expect(parse('controller: pid\nfallback: performance\n').fallback).toBeNull();
    const { fallback } = parse('controller: pid\nfallback: { controller: threshold, parameters: { hold: 1s } }\n');
    expect(fallback).toMatchObject({ controllerName: 'threshold', parameters: { hold: '1s', farOver: 1.35 } });
    expect(fallback!.controller.name).toBe('threshold');
  });

  it.each([
    ['fallback: slow', '2:11: expected performance, or a mapping with controller and parameters'],
    ['fallback: { controller: fixd }', '2:25: "fixd" given, did you mean "fixed"?'],
    ['fallback: { controller: fixed, parameters: { level: 2 } }', '2:53: 2 given, expected at most 1'],
    ['fallback: { controler: fixed }', '2:13: unknown key "controler", did you mean "controller"?'],
  ])('refuses %s', (line, problem) => {
    expect(problemsOf(() => parse(`controller: pid\n${line}\n`))).toContainEqual(expect.stringContaining(problem));
  });
});

describe('a policy’s level', () => {
  it('rises and falls at rates with units', () => {
    expect(parse('controller: pid\nlevel: { rise: 2/s, fall: 6/min }\n').level).toEqual({
      min: 0,
      max: 1,
      risePerS: 2,
      fallPerS: 0.1,
    });
    expect(problemsOf(() => parse('controller: pid\nlevel: { rise: 2, fall: 0/s }\n'))).toEqual([
      '2:16: 2 given, expected a rate from 1/h such as 0.5/s or 30/min',
      '2:25: "0/s" given, expected a rate from 1/h such as 0.5/s or 30/min',
    ]);
  });
});
