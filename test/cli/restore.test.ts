import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createCpufreqActuator } from '../../src/actuator/cpufreq-actuator.ts';
import { restoreCommand } from '../../src/cli/restore.ts';
import { kiloHertz } from '../../src/core/units.ts';
import { writeMock } from '../../src/sysfs/mock-file.ts';
import { realTree } from '../../src/sysfs/real-tree.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';

const maximumIn = (sysfs: string) => readFileSync(join(sysfs, MAX), 'utf8').trim();
const MAX = 'devices/system/cpu/cpufreq/policy0/scaling_max_freq';

describe('tailgov restore', () => {
  let directory: string;
  let sysfs: string;
  let runtime: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tailgov-cli-restore-'));
    sysfs = join(directory, 'sys');
    runtime = join(directory, 'run');
    writeMock(shippedMock('acpi-cpufreq-qemu-2c'), sysfs);
  });
  afterEach(() => {
    process.exitCode = undefined;
    rmSync(directory, { recursive: true });
  });

  function run(...args: readonly string[]): string {
    const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    try {
      restoreCommand().parse(['--runtime', runtime, ...args], { from: 'user' });
      return write.mock.calls.map(([text]) => String(text)).join('');
    } finally {
      write.mockRestore();
    }
  }

  /** Takes the controls over and forgets them, as a daemon does that dies. */
  function abandon(): void {
    const tree = realTree(sysfs);
    const actuator = createCpufreqActuator({ tree, journalPath: join(runtime, 'journal'), method: 'cap' });
    actuator.engage();
    actuator.apply({ frequencyKhz: { policy0: kiloHertz(1_200_000) }, cpus: {} });
    tree.close();
  }

  it('says that there is nothing to do', () => {
    expect(run()).toBe(`nothing to restore: no control was taken (no journal at ${runtime}/journal)\n`);
    expect(JSON.parse(run('--json'))).toEqual({ journal: `${runtime}/journal`, controls: [] });
    expect(process.exitCode).toBeUndefined();
  });

  it('puts the controls back where the journal says', () => {
    abandon();
    const lines = run().split('\n');
    expect(lines).toContain(`restored  ${MAX}`);
    expect(lines).toContain('all 4 controls are as they were');
    expect(maximumIn(sysfs)).toBe('3200000');
    expect(existsSync(join(runtime, 'journal'))).toBe(false);
    expect(process.exitCode).toBeUndefined();
  });

  it('--sysfs puts them back below another directory', () => {
    abandon();
    const copy = join(directory, 'copy');
    writeMock(shippedMock('acpi-cpufreq-qemu-2c'), copy);
    writeFileSync(join(copy, MAX), '1600000');
    run('--sysfs', copy);
    expect(maximumIn(copy)).toBe('3200000');
    expect(maximumIn(sysfs)).toBe('1200000');
  });

  it('fails when a control cannot be restored, and keeps the journal', () => {
    abandon();
    rmSync(join(sysfs, MAX));
    writeMock({ ...shippedMock('acpi-cpufreq-qemu-2c'), files: new Map([['x', '']]) }, join(sysfs, MAX));
    const { controls } = JSON.parse(run('--json')) as { controls: readonly object[] };
    expect(controls).toContainEqual({ control: MAX, outcome: 'failed', detail: 'write 3200000: EISDIR' });
    expect(process.exitCode).toBe(1);
    expect(existsSync(join(runtime, 'journal'))).toBe(true);
    expect(run()).toMatch(/1 of 4 controls could not be restored; the journal .* is kept/);
  });
});
