import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PolicyError } from '../../../src/core/errors.ts';
import { NS_PER_S } from '../../../src/core/units.ts';
import { recordingEndLine, recordingHeaderLine, recordingLine } from '../../../src/core/recording-format.ts';
import { xeonSilver4114 } from '../../../src/plant/servers.ts';
import { runSweep, type SweepPlan, sweepTable } from '../../../src/study/sweep/sweep.ts';
import { sweepCells, type SweepDimensions } from '../../../src/study/sweep/sweep-cell.ts';
import { sweepReport } from '../../../src/study/sweep/sweep-report.ts';

const POLICIES = join(import.meta.dirname, '../../../policies');
const cells = (overrides: Partial<SweepDimensions> = {}) =>
  sweepCells({
    ...{ workloads: ['microservice', 'web-search'], traces: ['step'], recordings: [], objectives: [] },
    ...{ servers: [xeonSilver4114], seeds: [1, 2], cores: 2, durationNs: 2 * NS_PER_S, strategy: 'frequency' },
    ...overrides,
  });
const plan = (overrides: Partial<SweepPlan> = {}): SweepPlan => ({
  policies: [
    { name: 'performance', reference: { file: join(POLICIES, 'performance.yaml') } },
    { name: 'pid', reference: { file: join(POLICIES, 'pid.yaml') } },
    { name: 'rubik', reference: { baseline: 'rubik' } },
  ],
  cells: cells(),
  reference: false,
  ...overrides,
});

let directory: string;
let program: URL;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tailgov-sweep-'));
  const file = join(directory, 'thread.mjs');
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, '../../../src/study/sweep/sweep-entry.ts')],
    ...{ bundle: true, platform: 'node', format: 'esm', write: false, external: ['koffi'] },
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
  });
  writeFileSync(file, outputFiles[0]!.contents);
  program = pathToFileURL(file);
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true }));

const sweep = (threads: number, overrides?: Partial<SweepPlan>, signal = new AbortController().signal) =>
  runSweep(plan(overrides), { threads, program, signal });

describe('runSweep()', () => {
  it('has the same result on one thread and on three', { timeout: 120_000 }, async () => {
    const alone = await sweep(1);
    expect(JSON.stringify(await sweep(3))).toBe(JSON.stringify(alone));
    expect(alone.partial).toBe(false);
    expect(alone.rows.map(({ workload, policy }) => `${workload} ${policy}`)).toEqual(
      ['microservice', 'web-search'].flatMap((workload) =>
        ['performance', 'pid', 'rubik'].map((name) => `${workload} ${name}`),
      ),
    );
    expect(sweepTable(alone.rows).length).toBe(7);
  });

  it('compares with full speed seed by seed, and shows the bound', { timeout: 60_000 }, async () => {
    const { rows } = await sweep(1, { cells: cells({ workloads: ['microservice'] }) });
    const [full, , rubik] = rows;
    expect(full!.savingVsPerformance).toEqual({ mean: 0, plusMinus: 0 });
    expect(rubik!.savingVsPerformance.mean).toBeGreaterThan(0);
    expect(rubik!.seeds).toBe(2);
    // It binds those that keep the SLO, as full speed does at this load.
    const kept = rows.filter(({ violationRatio }) => violationRatio <= 0.01);
    expect(kept).toContain(full);
    for (const row of kept) expect(row.energyJ.mean).toBeGreaterThan(row.lowerBoundJ!);
  });

  it('says what is wrong with a policy on whatever thread', { timeout: 60_000 }, async () => {
    const file = join(directory, 'bad.yaml');
    writeFileSync(file, 'controller: nope\n');
    const policies = [{ name: 'bad', reference: { file } }];
    for (const threads of [1, 2]) {
      const failed = sweep(threads, { policies });
      await expect(failed).rejects.toThrow(PolicyError);
      await expect(failed).rejects.toThrow('bad.yaml:1:13');
    }
  });

  it('holds recordings, objectives and servers against each other', { timeout: 60_000 }, async () => {
    const file = join(directory, 'shop.rec');
    const lines = Array.from({ length: 400 }, (_, i) => recordingLine(i * 5_000_000, 0, 1_000_000));
    const known = { atNs: 2e9, cpuTimeNs: 4e8, cpuRequests: 400, busiestThreadRatio: 0.2, frequencyKhz: null, lost: 0 };
    const about = { target: 'shop', unit: 'turn', startedAt: '2026-05-02T10:00:00.000Z', frequencyKhz: null } as const;
    const end = recordingEndLine({ ...known, reason: 'done' });
    writeFileSync(file, [recordingHeaderLine(about), ...lines, end].join(''));
    const slower = { ...xeonSilver4114, power: { ...xeonSilver4114.power, name: 'Another', staticWatts: 5 } };
    const several = sweepCells({
      ...{ workloads: [], traces: [], recordings: [file], seeds: [4, 5], strategy: 'frequency' },
      servers: [xeonSilver4114, slower],
      objectives: [
        { quantile: 0.99, latencyNs: 2e6 },
        { quantile: 0.9, latencyNs: 5e6 },
      ],
    });
    const recorded = plan({ cells: several });
    const result = await sweep(1, recorded);
    const { rows } = result;
    expect(rows).toHaveLength(12);
    expect(new Set(rows.map(({ requests, seeds }) => `${requests} ${seeds}`))).toEqual(new Set(['400 1']));
    expect(new Set(rows.map(({ workload }) => workload))).toEqual(new Set(['shop.rec']));
    const [published, , , , , , cheap] = rows;
    expect(cheap!.energyJ.mean).toBeLessThan(published!.energyJ.mean);
    const table = sweepTable(rows);
    expect(table[0]!.slice(0, 6)).toEqual(['workload', 'trace', 'server', 'SLO', 'policy', 'at quantile, ms']);
    expect(table[4]![3]).toBe('p90 ≤ 5.00 ms');
    const { charts, table: inReport } = sweepReport(recorded, result, '0');
    expect(charts).toHaveLength(5);
    expect(inReport.rows).toHaveLength(12);
  });

  it('refuses what it does not know, whatever else it is told', () => {
    expect(() => cells({ workloads: ['nope'] })).toThrow('no such workload');
    expect(() => cells({ traces: ['nope'] })).toThrow('no such trace');
    expect(() => cells({ recordings: [join(directory, 'none.rec')] })).toThrow(PolicyError);
  });

  it('stops at a signal', async () => {
    const interrupt = new AbortController();
    interrupt.abort();
    expect(await sweep(1, {}, interrupt.signal)).toEqual({ rows: [], partial: true });
  });
});
