import { describe, expect, test } from 'vitest';
import { formatProblem, messageOf, PolicyError, SensorError, TailgovError, UsageError } from '../../src/core/errors.ts';

const problem = { file: 'tailgov.yaml', line: 3, column: 7, message: '"fast" given, expected a duration' };

describe('TailgovError', () => {
  test('carries its code, its class’s name and its cause', () => {
    const cause = new Error('EPERM');
    const error = new SensorError('not-root', 'open sensor: the user is not root', { cause });
    expect(error).toBeInstanceOf(TailgovError);
    expect(error).toMatchObject({
      name: 'SensorError',
      code: 'not-root',
      message: 'open sensor: the user is not root',
      cause,
    });
  });
});

describe('PolicyError', () => {
  test('shows all of its problems, one a line, and keeps them as data', () => {
    const second = { ...problem, line: 9, column: 1, message: 'no services' };
    const error = new PolicyError('bad-file', [problem, second]);
    expect(error.message).toBe('tailgov.yaml:3:7: "fast" given, expected a duration\ntailgov.yaml:9:1: no services');
    expect(error.problems).toEqual([problem, second]);
  });
});

describe('UsageError', () => {
  test('always has the code usage', () => {
    expect(new UsageError('no such command')).toMatchObject({ name: 'UsageError', code: 'usage' });
  });
});

describe('formatProblem()', () => {
  test('is FILE:LINE:COLUMN: message', () => {
    expect(formatProblem(problem)).toBe('tailgov.yaml:3:7: "fast" given, expected a duration');
  });
});

describe('messageOf()', () => {
  test('is an error’s message, or whatever else was thrown as text', () => {
    expect(messageOf(new Error('broken'))).toBe('broken');
    expect(messageOf('broken')).toBe('broken');
    expect(messageOf(undefined)).toBe('undefined');
  });
});
