import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { policyTuneCommand } from '../../src/cli/policy-tune.ts';
import { simulateCommand } from '../../src/cli/simulate.ts';
import { controllers } from '../../src/compose/controllers.ts';
import { recordingHeaderLine, recordingLine } from '../../src/core/recording-format.ts';
import { loadPolicy } from '../../src/policy/load-policy.ts';

let directory: string;
let output: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tailgov-sweep-cli-'));
  output = '';
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

// One thread: run from source there are no others.
const SMALL = ['--duration', '2s', '--cores', '2', '--threads', '1'];
const simulate = (...args: string[]) => simulateCommand().parseAsync(['node', 'tailgov', ...SMALL, ...args]);
const tune = (...args: string[]) => policyTuneCommand().parseAsync(['node', 'tailgov', ...SMALL, ...args]);

describe('simulate over several seeds', () => {
  it('prints a row a policy, with the spread over the seeds', async () => {
    await simulate('--seeds', '2', '--policy', 'pid', '--json');
    const rows = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { policy: string; seeds: number; energyJ: { plusMinus: number } });
    expect(rows.map(({ policy, seeds }) => `${policy} ${seeds}`)).toEqual(['performance 2', 'pid 2']);
    expect(rows[0]!.energyJ.plusMinus).toBeGreaterThan(0);
  });

  it('plans with fewer cores, other objectives and other servers, too', async () => {
    await simulate('--seeds', '2', '--policy', 'pid', '--planner', 'pack', '--slo', 'p99:5ms', '--slo', 'p90:3ms');
    expect(output).toMatch(/workload +trace +SLO +policy/);
    expect(output).toContain('p90 ≤ 3.00 ms');
  });

  it('takes a file, and writes a report', async () => {
    const [file, report] = [join(directory, 'sweep.yaml'), join(directory, 'sweep.html')];
    writeFileSync(file, 'policies: [pid]\nworkloads: [microservice]\nseeds: 2\ncores: 2\nduration: 2s\n');
    const run = (...args: string[]) =>
      simulateCommand().parseAsync(['node', 'tailgov', '--sweep', file, '--threads', '1', ...args]);
    await run('--report', report, '--json');
    expect(output.trim().split('\n')).toHaveLength(2);
    const page = readFileSync(report, 'utf8');
    expect(page).toContain('microservice under step');
    expect(page).toMatch(/\d ± \d/);
    await expect(run('--seeds', '3')).rejects.toThrow('--seeds: does not go with --sweep');
  });
});

describe('policy tune', () => {
  const file = () => join(directory, 'tuned.yaml');

  it('writes a policy that loads, with how it was obtained', { timeout: 120_000 }, async () => {
    // Long enough for a policy to keep its objective with requests that it was not searched with.
    await tune('--duration', '10s', '--seeds', '1', '--trace', 'constant', '--output', file());
    const text = readFileSync(file(), 'utf8');
    expect(text).toMatch(/^# Tuned by tailgov .* in simulation, from pid: \d+ candidates/);
    expect(text).toMatch(/# Seeds 1 to 1 to search, 2 to 2 to check\./);
    expect(loadPolicy(file(), controllers).controllerName).toBe('pid');
    expect(output).toContain(`Written: ${file()}`);
  });

  it('searches for what was recorded, with its own length and objective', { timeout: 120_000 }, async () => {
    const recording = join(directory, 'shop.rec');
    const about = { target: 'shop', unit: 'turn', startedAt: '2026-05-02T10:00:00.000Z', frequencyKhz: null } as const;
    const lines = Array.from({ length: 400 }, (_, i) => recordingLine(i * 10_000_000, 0, 2_000_000));
    const slo = { quantile: 0.99, latencyNs: 1e7 };
    writeFileSync(recording, [recordingHeaderLine({ ...about, slo }), ...lines].join(''));
    const args = ['--recording', recording, '--threads', '1', '--policy', 'model', '--output', file()];
    await policyTuneCommand().parseAsync(['node', 'tailgov', ...args]);
    const text = readFileSync(file(), 'utf8');
    expect(text).toMatch(/# Recordings shop\.rec: the first half to search, all of it to check\./);
    expect(text).toMatch(/# Objective p99 ≤ 10\.0 ms; 1 cores of .*; 3\.99 s a run\./);
    expect(loadPolicy(file(), controllers).controllerName).toBe('model');
  });

  it('keeps what is for the live service apart from what is simulated', async () => {
    await expect(tune('--bounds', 'kp=0.1..0.4')).rejects.toThrow('--bounds: expected --live with it');
    await expect(tune('--live', 'web', '--seeds', '1')).rejects.toThrow(/--\w+: expected it without --live/);
  });

  it('refuses a controller that has nothing to search, and a file that is there', async () => {
    await expect(tune('--policy', 'performance', '--output', file())).rejects.toThrow('cannot be tuned');
    await expect(tune('--output', import.meta.filename)).rejects.toThrow('exists already');
  });
});
