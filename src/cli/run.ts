import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import type { Scheduling } from '../daemon/claim-cpu.ts';
import { runDaemon } from '../daemon/run-daemon.ts';
import { createLogger } from '../telemetry/logger.ts';
import { durationOption } from './duration-option.ts';
import { packageVersion } from './package-root.ts';
import { recordLimitOption, recordOption } from './record-options.ts';
import { runtimeOption } from './runtime-directory.ts';

interface RunOptions {
  readonly config: string;
  readonly dryRun?: true;
  readonly record?: string;
  readonly recordLimit: number;
  readonly sysfs: string;
  readonly runtime: string;
  readonly duration?: number;
  readonly scheduling: Scheduling;
}

const EXAMPLE = `
Example: see what would be done, for a minute, without a write
  tailgov run --config tailgov.yaml --dry-run --duration 1min`;

export function runCommand(): Command {
  return new Command('run')
    .description('govern this machine, in the foreground, until SIGINT or SIGTERM; every control is then put back')
    .option('--config <file>', 'what is governed', '/etc/tailgov/tailgov.yaml')
    .option(
      '--dry-run',
      'measure and decide, write nothing, whatever the config’s mode; latency is predicted for the frequency that was decided',
    )
    .addOption(
      recordOption(
        'in dry run: also write every request and what was predicted, a file a service, for simulate --recording',
      ),
    )
    .addOption(recordLimitOption())
    .option('--sysfs <dir>', 'a directory that stands in for /sys, such as `tailgov mock create` makes', '/sys')
    .addOption(runtimeOption())
    .option('--duration <time>', 'stop after this long, such as 30s', durationOption('--duration', 1))
    .addOption(
      new Option('--scheduling <class>', 'how the loop competes for a CPU: auto takes the best that is permitted')
        .choices(['auto', 'fifo', 'nice', 'normal'])
        .default('auto'),
    )
    .addHelpText('after', EXAMPLE)
    .action(async (options: RunOptions) => {
      process.exitCode = await runDaemon({
        configFile: options.config,
        dryRun: options.dryRun === true,
        ...(options.record === undefined
          ? {}
          : { record: { file: resolve(options.record), limitBytes: options.recordLimit } }),
        sysfsRoot: options.sysfs,
        runtimeDirectory: options.runtime,
        ...(options.duration === undefined ? {} : { durationMs: options.duration }),
        scheduling: options.scheduling,
        version: packageVersion(),
        log: createLogger({ fd: 1, readable: process.stdout.isTTY }),
      });
    });
}
