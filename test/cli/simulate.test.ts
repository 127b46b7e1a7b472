import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { progressText, simulateCommand } from '../../src/cli/simulate.ts';
import { PolicyError, UsageError } from '../../src/core/errors.ts';
import { NS_PER_S } from '../../src/core/units.ts';
import type { RunSummary } from '../../src/study/summarize-runs.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tailgov-simulate-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

/** What the command writes to stdout. */
async function simulate(...args: string[]): Promise<string> {
  let output = '';
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const stdout = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += String(text);
    return true;
  });
  try {
    await simulateCommand().parseAsync(['node', 'tailgov', '--duration', '2s', '--cores', '2', ...args]);
    return output;
  } finally {
    stdout.mockRestore();
  }
}

const parse = (output: string) =>
  output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as RunSummary);

describe('simulate --beside', () => {
  it('says what became of the other service under each policy', async () => {
    const output = await simulate('--policy', 'pid', '--beside', 'web-search', '--planner', 'cores');
    expect(output).toMatch(
      /^Beside it under performance: web-search, \d+ requests, p99 .* \(SLO 25\.0 ms\), .* late\.$/m,
    );
    expect(output).toMatch(/^Beside it under pid: web-search/m);
    expect(output).not.toContain('proven bound');
  });
});

describe('simulate refuses', () => {
  it.each([
    [['--workload', 'nope'], 'memcached, bimodal-kv, web-search, ml-inference, microservice'],
    [['--trace', 'nope'], 'constant, step, ramp, diurnal, flash-crowd, square, mmpp or a CSV file'],
    [['--trace', 'constructor'], 'no such trace'],
    [['--trace', 'absent.csv'], 'absent.csv: cannot be read'],
    [['--policy', 'nope'], 'performance, pid, threshold'],
    [['--duration', 'soon'], 'expected a time'],
    [['--duration', '0s'], 'expected a time'],
    [['--seed', '1.5'], 'expected a whole number'],
    [['--cores', '0'], 'expected a whole number from 1'],
    [['--beside', 'nope'], 'no such workload'],
    [['--beside', 'web-search', '--seeds', '2'], 'expected one workload, trace and seed'],
    [['--beside', 'web-search', '--baseline', 'rubik'], 'expected it without --baseline'],
  ])('%j', async (args, said) => {
    const refused = simulate(...args);
    await expect(refused).rejects.toThrow(UsageError);
    await expect(refused).rejects.toThrow(said);
  });

  it('a policy file that is not there, or a trace with bad lines', async () => {
    await expect(simulate('--policy', join(directory, 'absent.yaml'))).rejects.toThrow(PolicyError);
    const trace = join(directory, 'bad.csv');
    writeFileSync(trace, '0,1\n0,2\n');
    await expect(simulate('--trace', trace)).rejects.toThrow(PolicyError);
  });
});

describe('simulate', () => {
  it('prints the same table for the same seed, with full speed first', async () => {
    const table = await simulate('--policy', 'pid', '--seed', '5');
    expect(await simulate('--policy', 'pid', '--seed', '5')).toBe(table);
    const rows = table.split('\n').map((line) => line.split(/ {2,}/));
    expect(rows.slice(2, 5).map(([name]) => name)).toEqual(['policy', 'performance', 'pid']);
    expect(table).toContain('modelled');
  });

  it('prints an object a policy, the same but for the real time that it took', async () => {
    const first = parse(await simulate('--json'));
    const second = parse(await simulate('--json'));
    const timeless = (rows: readonly RunSummary[]) => rows.map((row) => ({ ...row, wallSeconds: 0 }));
    expect(timeless(second)).toEqual(timeless(first));
    expect(first.map(({ policy }) => policy)).toEqual(expect.arrayContaining(['performance', 'pid', 'threshold']));
    expect(new Set(first.map(({ policy }) => policy)).size).toBe(first.length);
  });

  it('tells policies of the same name apart, and takes a trace from a file', async () => {
    const policy = join(directory, 'pid.yaml');
    writeFileSync(policy, 'controller: fixed\nparameters: { level: 0.8 }\n');
    const trace = join(directory, 'half.csv');
    writeFileSync(trace, 'seconds,multiplier\n0,0.5\n');
    const rows = parse(await simulate('--policy', policy, '--policy', 'pid', '--trace', trace, '--json'));
    expect(rows.map(({ policy: name }) => name).slice(0, 2)).toEqual(['performance', policy]);
    expect(rows.every((row) => row.trace === trace)).toBe(true);
    // Half of 0.7 of two cores with requests of 1 ms, for 2 s.
    expect(rows[0]!.requests).toBeGreaterThan(1200);
    expect(rows[0]!.requests).toBeLessThan(1600);
  });

  it('writes a report', async () => {
    const file = join(directory, 'report.html');
    await simulate('--report', file);
    expect(readFileSync(file, 'utf8')).toContain('Simulated: microservice under step');
  });
});

describe('progressText()', () => {
  it('estimates what is left from what is past', () => {
    const progress = { phase: 'simulate', simulatedNs: 900 * NS_PER_S, durationNs: 3600 * NS_PER_S } as const;
    expect(progressText(progress, 10_000)).toMatch(/ 25 %, about 30\.0 s left$/);
  });
});
