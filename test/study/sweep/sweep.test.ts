import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PolicyError } from '../../../src/core/errors.ts';
import { NS_PER_S } from '../../../src/core/units.ts';
import { runSweep, type SweepPlan, sweepTable } from '../../../src/study/sweep/sweep.ts';

const POLICIES = join(import.meta.dirname, '../../../policies');
const plan = (overrides: Partial<SweepPlan> = {}): SweepPlan => ({
  policies: [
    { name: 'performance', reference: { file: join(POLICIES, 'performance.yaml') } },
    { name: 'pid', reference: { file: join(POLICIES, 'pid.yaml') } },
    { name: 'rubik', reference: { baseline: 'rubik' } },
  ],
  workloads: ['microservice', 'web-search'],
  traces: ['step'],
  seeds: [1, 2],
  cores: 2,
  durationNs: 2 * NS_PER_S,
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
    const { rows } = await sweep(1, { workloads: ['microservice'] });
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

  it('stops at a signal', async () => {
    const interrupt = new AbortController();
    interrupt.abort();
    expect(await sweep(1, {}, interrupt.signal)).toEqual({ rows: [], partial: true });
  });
});
