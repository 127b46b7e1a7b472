import { existsSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { CPUFREQ_DIRECTORY, CPU_DIRECTORY } from '../sysfs/cpufreq-paths.ts';
import { parseCpuList } from '../core/cpu-list.ts';
import { messageOf, UsageError } from '../core/errors.ts';
import { captureMachine } from '../sysfs/capture-machine.ts';
import { MemoryTree } from '../sysfs/memory-tree.ts';
import { findMock, formatMock, listMocks, writeMock } from '../sysfs/mock-file.ts';
import type { MockMachine } from '../sysfs/mock-machine.ts';
import { realTree } from '../sysfs/real-tree.ts';
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
  command
    .command('capture')
    .description('record this machine: its cpufreq files, its topology, no serial numbers, no host name')
    .argument('<file>', 'absent; ends in .tsv')
    .option('--sysfs <directory>', 'what plays /sys', '/sys')
    .addHelpText('after', '\nExample:\n  tailgov mock capture my-server.tsv')
    .action((file: string, { sysfs }: { sysfs: string }) => {
      const mock = capture(sysfs);
      create(file, formatMock(mock));
      process.stdout.write(`${file}: ${mock.files.size} files of ${mock.machine}\n`);
      if (summarize(mock).policies === 0) process.stderr.write(`no cpufreq policy below ${sysfs}\n`);
    });
  return command;
}

function capture(sysfs: string): MockMachine {
  const tree = realTree(sysfs);
  try {
    const files = captureMachine(tree);
    if (files.size === 0) throw new UsageError(`no machine below ${tree.root}, expected devices/system/cpu there`);
    const driver = files.get(`${CPUFREQ_DIRECTORY}/policy0/scaling_driver`) ?? 'no cpufreq driver';
    const online = parseCpuList(files.get(`${CPU_DIRECTORY}/online`) ?? '')?.length ?? 0;
    // A kernel's full version may carry its builder's name.
    const kernel = /^\d+\.\d+/.exec(release())?.[0] ?? 'unknown';
    const model = sysfs === '/sys' ? (cpus()[0]?.model.trim() ?? '') : '';
    const machine = `${model === '' || model === 'unknown' ? 'unnamed CPU' : model}, ${online} CPUs, ${driver}, Linux ${kernel}`;
    const source = `recorded from a real machine by "tailgov mock capture" on ${new Date().toISOString().slice(0, 10)}`;
    return { name: 'captured', machine, source, status: 'recorded', files };
  } finally {
    tree.close();
  }
}

/** @throws UsageError where the file is there already, or its folder is not */
function create(file: string, text: string): void {
  if (!file.endsWith('.tsv')) throw new UsageError(`${file}, expected a name that ends in .tsv`);
  if (existsSync(file)) throw new UsageError(`${file} is there already, expected a new file`);
  if (!existsSync(dirname(file))) throw new UsageError(`no folder ${dirname(file)} for ${file}`);
  try {
    writeFileSync(file, text, { flag: 'wx' });
  } catch (error) {
    throw new UsageError(`write ${file}: ${messageOf(error)}`, { cause: error });
  }
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
