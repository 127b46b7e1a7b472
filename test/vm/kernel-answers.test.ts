import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { CONTINUOUS_ANSWERS, KERNEL_ANSWERS, START, type KernelScenario } from '../sysfs/kernel-answers.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';
import { frequencyKhz, isCppc, STEP_MARK, type TablesName } from './acpi-tables.ts';
import { answersOf, differences, type AnswerJob, type Answers } from './answer-steps.ts';
import { bootGuest } from './boot-guest.ts';
import { bundleForGuest } from './bundle-for-guest.ts';
import type { KernelChoice } from './images.ts';
import {
  AMD_PSTATE,
  AMD_PSTATE_ACTIVE,
  AMD_PSTATE_ACTIVE_BACK,
  AMD_PSTATE_BOOST,
  PAIRS,
  SHARED_CLOCKS,
} from './guest-scenarios.ts';

interface Machine {
  readonly name: string;
  readonly tables: TablesName;
  readonly smp: number;
  readonly table: AnswerJob;
  /** What shows what the driver programs; `scaling_cur_freq` unless told. */
  readonly programs?: 'scaling_max_freq';
  readonly kernel?: KernelChoice;
  /** The mock in sysfs-mocks that was recorded here. */
  readonly recording?: string;
  /** What is asked of the kernel alone, for the mock does not model it. */
  readonly notInMock?: readonly KernelScenario[];
}

const MACHINES: readonly Machine[] = [
  {
    name: 'acpi-cpufreq, one CPU a policy',
    tables: 'policy-per-cpu',
    smp: 2,
    table: { start: START, scenarios: KERNEL_ANSWERS },
    recording: 'acpi-cpufreq-qemu-2c',
  },
  { name: 'acpi-cpufreq, two CPUs a policy', tables: 'policy-per-pair', smp: 4, table: PAIRS },
  { name: 'acpi-cpufreq, two CPUs a clock', tables: 'clock-per-pair', smp: 4, table: SHARED_CLOCKS },
  {
    name: 'amd-pstate, passive',
    tables: 'cppc',
    smp: 2,
    table: { start: AMD_PSTATE.start, scenarios: [...CONTINUOUS_ANSWERS, ...AMD_PSTATE.scenarios] },
    recording: 'amd-pstate-qemu-2c',
    notInMock: AMD_PSTATE_BOOST,
  },
  {
    name: 'amd-pstate, active',
    tables: 'cppc-autonomous',
    kernel: 'newer',
    smp: 2,
    table: AMD_PSTATE_ACTIVE,
    programs: 'scaling_max_freq',
    notInMock: AMD_PSTATE_ACTIVE_BACK,
  },
];

/** What the guest hands back. */
interface GuestAnswers {
  readonly files: readonly (readonly [string, string])[];
  /** By plain system calls, then by the project's own tree. */
  readonly kernel: Answers;
  readonly ours: Answers;
}

async function askKernel(
  { tables, smp, kernel: choice = 'stock' }: Machine,
  job: AnswerJob,
): Promise<GuestAnswers & { pstates: readonly Buffer[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'tailgov-answers-'));
  try {
    await bundleForGuest(join(import.meta.dirname, 'guest/answer-scenarios.ts'), folder);
    await writeFile(join(folder, 'job.json'), JSON.stringify(job));
    const append = 'cpufreq.default_governor=performance';
    const { status, console, pstates } = await bootGuest({ folder, tables, smp, append, kernel: choice });
    if (status !== 0) throw new Error(`the guest's script ended with ${status}:\n${console}`);
    return { ...(JSON.parse(await readFile(join(folder, 'answers.json'), 'utf8')) as GuestAnswers), pstates };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What a CPU's register held after each step, in kHz: the last value programmed by then. */
function programmedKhz(log: Buffer, tables: TablesName): readonly (number | undefined)[] {
  const after: (number | undefined)[] = [];
  let current: number | undefined;
  for (const byte of log) {
    if (byte === STEP_MARK) after.push(current);
    else current = frequencyKhz(tables, byte);
  }
  // The first mark ends the boot.
  return after.slice(1);
}

describe.each(MACHINES)('$name', (machine) => {
  const { table, tables } = machine;
  const job: AnswerJob = { start: table.start, scenarios: [...table.scenarios, ...(machine.notInMock ?? [])] };
  let guest: Awaited<ReturnType<typeof askKernel>>;
  beforeAll(async () => {
    guest = await askKernel(machine, job);
  });

  it('the kernel gives the answers of the table', () => {
    expect(differences(job, guest.kernel)).toEqual([]);
  });

  it("the project's tree shows the kernel's answers", () => {
    expect(differences(job, guest.ours, guest.kernel)).toEqual([]);
  });

  it("the mock of this machine gives the kernel's answers", () => {
    const mock = new MemoryTree({
      name: machine.name,
      machine: 'the guest',
      source: 'its own /sys',
      status: 'recorded',
      files: new Map(guest.files),
    });
    expect(differences(table, answersOf(mock, table), guest.kernel)).toEqual([]);
  });

  const { recording } = machine;
  if (recording !== undefined) {
    it(`${recording} in sysfs-mocks is this machine`, () => {
      const recorded = [...shippedMock(recording).files].filter(([path]) => !path.includes('/stats/'));
      const here = new Map(guest.files);
      expect(recorded.map(([path]) => [path, here.get(path)])).toEqual(recorded);
    });
  }

  const { programs = 'scaling_cur_freq' } = machine;
  it(`the driver programs the frequency that ${programs} shows`, () => {
    const programmed = guest.pstates.map((log) => programmedKhz(log, tables));
    const steps = job.scenarios.flatMap((scenario) => [...job.start, ...scenario.steps]);
    const answers = guest.kernel.flat();
    const checked = steps.flatMap((step, index) => {
      const cpu = /policy(\d+)\//.exec(step.path)?.[1];
      const shown = step.path.endsWith(`/${programs}`) && /^\d+$/.test(answers[index]!);
      if (cpu === undefined || step.operation !== 'read' || !shown) return [];
      return [{ step: index, shown: Number(answers[index]), programmed: programmed[Number(cpu)]?.[index] }];
    });
    expect(checked.length).toBeGreaterThan(0);
    expect(checked.filter(({ shown, programmed: khz }) => !samePerformance(tables, shown, khz))).toEqual([]);
  });
});

/** amd-pstate shows what was asked, and programs the nearest of CPPC's levels below: 20 MHz each in these tables. */
function samePerformance(tables: TablesName, shownKhz: number, khz: number | undefined): boolean {
  if (khz === undefined) return false;
  return isCppc(tables) ? Math.abs(shownKhz - khz) < 20_000 : shownKhz === khz;
}
