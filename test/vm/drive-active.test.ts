/** The actuator on the real amd-pstate driver in active mode, which governs itself: caps, pins and energy preferences. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { MethodDescription } from '../../src/actuator/frequency-method.ts';
import { bootGuest } from './boot-guest.ts';
import { bundleForGuest } from './bundle-for-guest.ts';
import type { ActiveReport, Seen } from './guest/drive-active.ts';

const METHODS = ['cap', 'pin', 'epp'] as const;
/** How many levels the guest goes through. */
const LEVELS = 5;
/** AMD_CPPC_EPP_* of drivers/cpufreq/amd-pstate.c. */
const REGISTER = { performance: 0x00, balance_performance: 0x80, balance_power: 0xbf, power: 0xff };

/** Without the preference, and its registers, where the method leaves it to the driver: a CPU comes back with another. */
const governed = (method: string, { controls, registers }: Seen) =>
  method === 'pin'
    ? Object.entries(controls).filter(([path]) => path !== 'policy1/energy_performance_preference')
    : { controls, registers };

let guest: { described: readonly MethodDescription[]; reports: readonly ActiveReport[] };

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tailgov-drive-active-'));
  try {
    await bundleForGuest(join(import.meta.dirname, 'guest/drive-active.ts'), folder);
    const { status, console } = await bootGuest({
      folder,
      tables: 'cppc-autonomous',
      kernel: 'newer',
      timeoutMs: 280_000,
    });
    if (status !== 0) throw new Error(`the guest's script ended with ${status}:\n${console}`);
    guest = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8')) as typeof guest;
  } finally {
    await rm(folder, { recursive: true });
  }
}, 600_000);

describe('amd-pstate, active', () => {
  const reportOf = (method: string) => guest.reports.find((report) => report.method === method)!;

  it('offers every method but setspeed, and the cap is taken', () => {
    expect(guest.described.map(({ method, chosen, reason }) => [method, chosen, reason])).toEqual([
      ['cap', true, 'the first that every policy offers'],
      ['pin', false, 'possible, after cap'],
      ['setspeed', false, 'amd-pstate-epp governs itself and has no governor userspace'],
      ['epp', false, 'possible, after cap'],
    ]);
  });

  it.each(METHODS)('%s: every level is applied as asked, within each policy’s range', (method) => {
    for (const { applied } of reportOf(method).steps.slice(0, LEVELS)) {
      const [policy0, policy1] = applied.frequencies;
      expect(policy0).toMatchObject({ appliedKhz: policy0!.askedKhz });
      expect(policy1!.appliedKhz).toBe(Math.max(1_600_000, Math.min(2_800_000, policy1!.askedKhz)));
      for (const { outcome } of applied.frequencies) expect(['applied', 'unchanged']).toContain(outcome);
      expect(applied.disturbances).toEqual([]);
    }
  });

  it('cap and pin: the files show what was applied', () => {
    for (const method of ['cap', 'pin'] as const) {
      for (const { applied, controls } of reportOf(method).steps.slice(0, LEVELS)) {
        const shown = applied.frequencies.map(({ domain }) => Number(controls[`${domain}/scaling_max_freq`]));
        expect(shown).toEqual(applied.frequencies.map(({ appliedKhz }) => appliedKhz));
        if (method === 'pin') expect(controls['policy0/scaling_min_freq']).toBe(controls['policy0/scaling_max_freq']);
        else expect(controls['policy0/energy_performance_preference']).toBe('performance');
      }
    }
  });

  it('epp: each level is a preference, which the driver programs, and the range stays the operator’s', () => {
    const { steps, before } = reportOf('epp');
    const names = steps.slice(0, LEVELS).map(({ controls }) => controls['policy0/energy_performance_preference']);
    expect(names).toEqual(['power', 'balance_power', 'balance_performance', 'performance', 'balance_power']);
    for (const { controls, registers } of steps.slice(0, LEVELS)) {
      for (const [cpu, policy] of ['policy0', 'policy1'].entries()) {
        const name = controls[`${policy}/energy_performance_preference`] as keyof typeof REGISTER;
        expect(registers[cpu]).toBe(REGISTER[name]);
        for (const file of ['scaling_min_freq', 'scaling_max_freq', 'scaling_governor']) {
          expect(controls[`${policy}/${file}`]).toBe(before.controls[`${policy}/${file}`]);
        }
      }
    }
  });

  it.each(METHODS)('%s: a foreign write is seen and overridden', (method) => {
    const { applied, controls } = reportOf(method).steps[LEVELS]!;
    expect(applied.disturbanceCounts).toMatchObject({ 'foreign-writer': 1, limit: 0, failure: 0 });
    expect(applied.frequencies[0]).toMatchObject({ outcome: 'applied', appliedKhz: applied.frequencies[0]!.askedKhz });
    if (method === 'epp') expect(controls['policy0/energy_performance_preference']).toBe('balance_power');
  });

  it.each(METHODS)('%s: a CPU that goes and comes back disturbs nothing else', (method) => {
    const { steps } = reportOf(method);
    const [away, back] = steps.slice(-2);
    expect(away!.applied.disturbances!.map(({ kind }) => kind)).toEqual(['machine']);
    expect(back!.applied.disturbances).toEqual([]);
    expect(governed(method, back!)).toEqual(governed(method, steps[LEVELS]!));
  });

  it.each(METHODS)('%s: every control, and every register, is as it was afterwards', (method) => {
    const { restored, before, after } = reportOf(method);
    expect(restored.filter(({ outcome }) => outcome !== 'restored' && outcome !== 'already')).toEqual([]);
    expect(governed(method, after)).toEqual(governed(method, before));
    expect(before.controls).toMatchObject({
      'policy0/energy_performance_preference': 'balance_power',
      'policy1/energy_performance_preference': 'power',
      'policy1/scaling_max_freq': '2800000',
    });
  });
});
