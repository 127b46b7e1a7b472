import { describe, expect, it } from 'vitest';
import { countResults, formatCounts, judge, secondTries } from './test-counts.mjs';

const report = (
  counts: { passed?: number; failed?: number; pending?: number; todo?: number },
  files: object[] = [],
) => ({
  numPassedTests: counts.passed ?? 0,
  numFailedTests: counts.failed ?? 0,
  numPendingTests: counts.pending ?? 0,
  numTodoTests: counts.todo ?? 0,
  testResults: files,
});

const ran = (name: string, passed: number, failed = 0, skipped = 0) => ({
  name,
  required: true,
  counts: { passed, failed, skipped },
  reason: null,
});

describe('countResults()', () => {
  it('takes the counts of the report', () => {
    expect(countResults(report({ passed: 3, failed: 1, pending: 2, todo: 1 }), 1)).toEqual({
      passed: 3,
      failed: 1,
      skipped: 3,
    });
  });

  it('counts a file that cannot be loaded as failed', () => {
    const files = [{ name: 'broken.test.ts', status: 'failed', assertionResults: [] }];
    expect(countResults(report({ passed: 3 }, files), 1)).toEqual({
      passed: 3,
      failed: 1,
      skipped: 0,
      note: 'failed as a whole: broken.test.ts',
    });
  });

  it('does not count a file with a failed test twice', () => {
    const files = [{ name: 'a.test.ts', status: 'failed', assertionResults: [{ status: 'failed' }] }];
    expect(countResults(report({ failed: 1 }, files), 1).failed).toBe(1);
  });

  it('names what passed only on a second try', () => {
    const test = (title: string, failureMessages: string[]) => ({ title, status: 'passed', failureMessages });
    const assertionResults = [test('shaky', ['Error: 3 is not 4']), test('firm', [])];
    const files = [{ name: 'a.test.ts', status: 'passed', assertionResults }];
    expect(countResults(report({ passed: 2 }, files), 0)).toEqual({
      passed: 2,
      failed: 0,
      skipped: 0,
      note: 'passed only on a second try: a.test.ts > shaky',
    });
    expect(secondTries(report({ passed: 2 }, files))).toEqual([
      { name: 'a.test.ts > shaky', failures: ['Error: 3 is not 4'] },
    ]);
  });

  it('never calls a run passed that vitest calls failed', () => {
    expect(countResults(report({ passed: 3 }), 1)).toMatchObject({ passed: 3, failed: 1 });
    expect(countResults(null, 0)).toMatchObject({ passed: 0, failed: 1 });
  });
});

describe('judge()', () => {
  it('adds the projects up', () => {
    expect(judge([ran('unit', 3), ran('kernel', 2)], { strict: false })).toEqual({
      lines: ['unit: 3 passed, 0 failed', 'kernel: 2 passed, 0 failed'],
      total: { passed: 5, failed: 0, skipped: 0 },
      ok: true,
    });
  });

  it('fails when anything failed', () => {
    expect(judge([ran('unit', 3), ran('kernel', 2, 1)], { strict: false })).toMatchObject({
      total: { failed: 1 },
      ok: false,
    });
  });

  it('says why a project was left out, and fails only where it is required', () => {
    const left = { name: 'kernel', required: false, counts: null, reason: 'needs root' };
    expect(judge([ran('unit', 1), left], { strict: false })).toMatchObject({
      lines: ['unit: 1 passed, 0 failed', 'kernel: left out, needs root'],
      ok: true,
    });
    expect(judge([ran('unit', 1), { ...left, required: true }], { strict: true })).toMatchObject({
      total: { passed: 1, failed: 1 },
      ok: false,
    });
  });

  it('counts skipped tests as failed when strict', () => {
    const results = [ran('unit', 3, 0, 2)];
    expect(judge(results, { strict: false })).toMatchObject({ total: { passed: 3, failed: 0, skipped: 2 }, ok: true });
    expect(judge(results, { strict: true })).toMatchObject({ total: { passed: 3, failed: 2, skipped: 0 }, ok: false });
  });

  it('fails a run in which nothing ran', () => {
    expect(judge([ran('unit', 0)], { strict: false }).ok).toBe(false);
  });
});

describe('formatCounts()', () => {
  it('mentions skipped tests only where there are any', () => {
    expect(formatCounts({ passed: 4, failed: 0, skipped: 0 })).toBe('4 passed, 0 failed');
    expect(formatCounts({ passed: 4, failed: 1, skipped: 2 })).toBe('4 passed, 1 failed, 2 skipped');
  });
});
