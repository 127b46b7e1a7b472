import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { mockCommand } from '../../src/cli/mock.ts';
import { UsageError } from '../../src/core/errors.ts';
import { loadMock } from '../../src/sysfs/mock-file.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';

/** @returns what the command wrote to stdout */
function run(command: Command, ...args: readonly string[]): string {
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  try {
    command.parse(args, { from: 'user' });
    return write.mock.calls.map(([text]) => String(text)).join('');
  } finally {
    write.mockRestore();
  }
}

describe('tailgov mock', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'tailgov-cli-mock-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  it('list shows a table', () => {
    const lines = run(mockCommand(), 'list').split('\n');
    expect(lines[0]).toBe('NAME                          DRIVER          CPUS  POLICIES  STATUS');
    expect(lines).toContain('acpi-cpufreq-epyc-7451-2s96c  acpi-cpufreq    96    96        recorded');
    expect(lines).toContain('virtual-machine-4c            none            4     0         described');
  });

  it('list --json prints the same as objects', () => {
    expect(JSON.parse(run(mockCommand(), 'list', '--json'))).toContainEqual({
      name: 'amd-pstate-qemu-2c',
      driver: 'amd-pstate',
      cpus: 2,
      policies: 2,
      status: 'recorded',
      machine: 'QEMU guest, 2 CPUs, driver amd-pstate (passive), Linux 6.1',
      source: expect.stringContaining('recorded in a QEMU guest') as string,
    });
  });

  it('create writes the machine, once', () => {
    const target = join(directory, 'machine');
    expect(run(mockCommand(), 'create', 'acpi-cpufreq-qemu-2c', target)).toMatch(/^\/.*: \d+ files of QEMU guest/);
    expect(existsSync(join(target, 'devices/system/cpu/cpufreq/policy0/scaling_max_freq'))).toBe(true);
    expect(() => run(mockCommand(), 'create', 'acpi-cpufreq-qemu-2c', target)).toThrow(UsageError);
  });

  it('create says which mocks there are', () => {
    const create = () => run(mockCommand(), 'create', 'nosuch', join(directory, 'machine'));
    expect(create).toThrow(/^no mock named "nosuch", expected one of acpi-cpufreq-epyc-7451-2s96c, /);
    expect(existsSync(join(directory, 'machine'))).toBe(false);
  });

  it('capture records a machine, once, so that it can be played again', () => {
    const machine = join(directory, 'machine');
    run(mockCommand(), 'create', 'intel-pstate-2s-128c', machine);
    const file = join(directory, 'captured.tsv');
    expect(run(mockCommand(), 'capture', file, '--sysfs', machine)).toContain('128 CPUs, intel_pstate, Linux');
    const captured = loadMock(file);
    expect(captured.status).toBe('recorded');
    expect(Object.fromEntries(captured.files)).toEqual(Object.fromEntries(shippedMock('intel-pstate-2s-128c').files));
    expect(readFileSync(file, 'utf8')).not.toContain(hostname());
    expect(() => run(mockCommand(), 'capture', file, '--sysfs', machine)).toThrow(/is there already/);
    expect(() => run(mockCommand(), 'capture', join(directory, 'box.txt'))).toThrow(
      /expected a name that ends in .tsv/,
    );
    expect(() => run(mockCommand(), 'capture', join(directory, 'nosuch', 'box.tsv'))).toThrow(/no folder/);
  });

  it('capture refuses a folder without a machine', () => {
    const file = join(directory, 'captured.tsv');
    expect(() => run(mockCommand(), 'capture', file, '--sysfs', directory)).toThrow(/no machine below/);
    expect(existsSync(file)).toBe(false);
  });
});
