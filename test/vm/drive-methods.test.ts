/** Every method on the real drivers: what is applied, what the driver programs, and that all comes back. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { MethodDescription } from '../../src/actuator/frequency-method.ts';
import { frequencyKhz, STEP_MARK, type TablesName } from './acpi-tables.ts';
import { bootGuest } from './boot-guest.ts';
import { bundleForGuest } from './bundle-for-guest.ts';
import type { DriveJob, DriveReport } from './guest/drive-methods.ts';

const CPU = 'devices/system/cpu';
const METHODS = ['cap', 'pin', 'setspeed'] as const;

const MACHINES = [
  {
    name: 'acpi-cpufreq, one CPU a policy',
    tables: 'policy-per-cpu',
    smp: 2,
    job: { levelsKhz: [2_000_000, 2_800_000, 1_600_000, 2_400_000], boost: 'leave' },
  },
  {
    name: 'acpi-cpufreq, two CPUs a policy',
    tables: 'policy-per-pair',
    smp: 4,
    job: { levelsKhz: [2_000_000, 2_800_000, 1_600_000, 2_400_000], boost: 'leave' },
  },
  {
    name: 'amd-pstate, passive, boost left as it is',
    tables: 'cppc',
    smp: 2,
    job: { levelsKhz: [1_730_000, 2_777_000, 2_111_111, 2_500_000], boost: 'leave' },
  },
  {
    name: 'amd-pstate, passive, boost switched off',
    tables: 'cppc',
    smp: 2,
    job: { levelsKhz: [1_730_000, 2_399_000, 2_111_111, 2_200_000], boost: 'off' },
  },
] as const satisfies readonly { name: string; tables: TablesName; smp: number; job: DriveJob }[];

async function drive({ tables, smp, job }: (typeof MACHINES)[number]) {
  const folder = await mkdtemp(join(tmpdir(), 'tailgov-drive-'));
  try {
    await bundleForGuest(join(import.meta.dirname, 'guest/drive-methods.ts'), folder);
    await writeFile(join(folder, 'job.json'), JSON.stringify(job));
    const append = 'cpufreq.default_governor=performance';
    const { status, console, pstates } = await bootGuest({ folder, tables, smp, append });
    if (status !== 0) throw new Error(`the guest's script ended with ${status}:\n${console}`);
    const report = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8')) as {
      described: readonly MethodDescription[];
      reports: readonly DriveReport[];
    };
    return { ...report, pstates };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What the first CPU's register held at each mark. */
function programmedKhz(log: Buffer, tables: TablesName): readonly (number | undefined)[] {
  const after: (number | undefined)[] = [];
  let current: number | undefined;
  for (const byte of log) {
    if (byte === STEP_MARK) after.push(current);
    else current = frequencyKhz(tables, byte);
  }
  return after;
}

describe.each(MACHINES)('$name', (machine) => {
  const { job, tables } = machine;
  const last = job.levelsKhz.at(-1)!;
  let guest: Awaited<ReturnType<typeof drive>>;
  beforeAll(async () => {
    guest = await drive(machine);
  });
  const reportOf = (method: string) => guest.reports.find((report) => report.method === method)!;

  it('the driver offers every method that sets a speed, and the cap is taken', () => {
    expect(guest.described.map(({ method, chosen }) => [method, chosen])).toEqual([
      ['cap', true],
      ['pin', false],
      ['setspeed', false],
      ['epp', false],
    ]);
    expect(guest.reports.map(({ method }) => method)).toEqual(METHODS);
  });

  it.each(METHODS)('%s: every level is applied as asked, within each policy’s range', (method) => {
    const { applied } = reportOf(method);
    for (const [index, khz] of job.levelsKhz.entries()) {
      expect(applied[index]!.frequencies).toEqual([
        { domain: 'policy0', askedKhz: khz, appliedKhz: khz, outcome: 'applied' },
        expect.objectContaining({ appliedKhz: Math.max(1_600_000, Math.min(2_800_000, khz)) }) as unknown,
      ]);
      expect(applied[index]!.disturbances).toEqual([]);
    }
  });

  it.each(METHODS)('%s: a foreign write is seen and overridden', (method) => {
    const { applied } = reportOf(method);
    const foreign = applied[job.levelsKhz.length]!;
    expect(foreign.disturbanceCounts).toMatchObject({ 'foreign-writer': 1, limit: 0, failure: 0 });
    expect(foreign.frequencies[0]).toMatchObject({ appliedKhz: last, outcome: 'applied' });
  });

  it.each(METHODS)('%s: a CPU that goes and comes back disturbs nothing else', (method) => {
    const { applied } = reportOf(method);
    const [away, back] = applied.slice(-2);
    expect(away!.frequencies[0]).toMatchObject({ appliedKhz: last });
    const gone = away!.disturbances!.filter(({ kind }) => kind === 'machine');
    expect(gone).toHaveLength(tables === 'policy-per-pair' ? 0 : 1);
    expect(back!.frequencies.map(({ appliedKhz }) => appliedKhz)).toEqual([last, last]);
    expect(back!.disturbances).toEqual([]);
  });

  it.each(METHODS)('%s: every control shows its original afterwards', (method) => {
    const { restored, before, after } = reportOf(method);
    expect(restored.filter(({ outcome }) => outcome !== 'restored' && outcome !== 'already')).toEqual([]);
    expect(after).toEqual(before);
    expect(after[`${CPU}/cpufreq/policy0/scaling_governor`]).toBe('userspace');
  });

  it('the driver programs what is said to be applied', () => {
    const programmed = programmedKhz(guest.pstates[0]!, tables);
    // Five marks before the first method; in each method one after engage, one a level, seven in what follows.
    const perMethod = job.levelsKhz.length + 9;
    for (const [turn] of METHODS.entries()) {
      const first = 5 + turn * perMethod + 1;
      const shown = job.levelsKhz.map((khz, index) => [khz, programmed[first + index] ?? 0] as const);
      for (const [khz, registerKhz] of shown)
        expect(Math.abs(khz - registerKhz)).toBeLessThan(tables === 'cppc' ? 20_000 : 1);
    }
  });
});
