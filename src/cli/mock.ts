import { join } from 'node:path';
import { Command } from 'commander';
import { CPUFREQ_DIRECTORY, CPU_DIRECTORY } from '../sysfs/cpufreq-paths.ts';
import { parseCpuList } from '../sysfs/cpu-list.ts';
import { MemoryTree } from '../sysfs/memory-tree.ts';
import { findMock, listMocks, writeMock } from '../sysfs/mock-file.ts';
import type { MockMachine } from '../sysfs/mock-machine.ts';
import { packageRoot } from './package-root.ts';

const shippedMocks = () => join(packageRoot(), 'sysfs-mocks');

/** One line of `mock list --json`. */
interface MockSummary {
  readonly name: string;
  readonly driver: string;
  readonly cpus: number;
  readonly policies: number;
  readonly status: MockMachine['status'];
  readonly machine: string;
  readonly source: string;
}

export function mockCommand(): Command {
  const command = new Command('mock').description('machines whose cpufreq files can be played without the hardware');
  command
    .command('list')
    .description('show the mocks that come with tailgov')
    .option('--json', 'print an array of objects')
    .addHelpText('after', '\nExample:\n  tailgov mock list')
    .action(({ json = false }: { json?: boolean }) => {
      const mocks = listMocks(shippedMocks()).map(summarize);
      process.stdout.write(json ? `${JSON.stringify(mocks, null, 2)}\n` : table(mocks));
    });
  command
    .command('create')
    .description('write a mock into an empty directory, which then plays /sys')
    .argument('<name>', 'a name that `tailgov mock list` shows')
    .argument('<directory>', 'empty, or absent')
    .addHelpText(
      'after',
      '\nExample:\n  tailgov mock create acpi-cpufreq-qemu-2c /tmp/machine && tailgov run --sysfs /tmp/machine --config tailgov.yaml',
    )
    .action((name: string, directory: string) => {
      const mock = findMock(name, shippedMocks());
      writeMock(mock, directory);
      process.stdout.write(`${directory}: ${mock.files.size} files of ${mock.machine}\n`);
    });
  return command;
}

function summarize(mock: MockMachine): MockSummary {
  const tree = new MemoryTree(mock);
  const entries = tree.list(CPUFREQ_DIRECTORY);
  const policies = entries.ok ? entries.value.filter((name) => name.startsWith('policy')) : [];
  const text = (path: string) => {
    const result = tree.read(path);
    return result.ok ? result.value : undefined;
  };
  return {
    name: mock.name,
    driver: text(`${CPUFREQ_DIRECTORY}/${policies[0]}/scaling_driver`) ?? 'none',
    cpus: parseCpuList(text(`${CPU_DIRECTORY}/online`) ?? '')?.length ?? 0,
    policies: policies.length,
    status: mock.status,
    machine: mock.machine,
    source: mock.source,
  };
}

function table(mocks: readonly MockSummary[]): string {
  const rows = [
    ['NAME', 'DRIVER', 'CPUS', 'POLICIES', 'STATUS'],
    ...mocks.map(({ name, driver, cpus, policies, status }) => [name, driver, `${cpus}`, `${policies}`, status]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
