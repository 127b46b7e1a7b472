import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { mockCommand } from '../../src/cli/mock.ts';
import { UsageError } from '../../src/core/errors.ts';

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
    expect(lines[0]).toBe('NAME                          DRIVER        CPUS  POLICIES  STATUS');
    expect(lines).toContain('acpi-cpufreq-epyc-7451-2s96c  acpi-cpufreq  96    96        recorded');
    expect(lines).toContain('intel-pstate-i7-1165g7-8c     intel_pstate  8     8         recorded');
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
});
