import { existsSync, readFileSync } from 'node:fs';
import { messageOf, PolicyError, UsageError } from '../core/errors.ts';
import { type LoadTrace, loadTraces } from '../plant/load-trace.ts';
import { type ServerModel, uniformMachine } from '../plant/server-model.ts';
import { serverSchema } from '../plant/server-schema.ts';
import { parseTraceCsv } from '../plant/trace-csv.ts';
import { type Workload, workloads } from '../plant/workloads.ts';
import { check, toProblem } from '../policy/problems.ts';
import { readYamlFile } from '../policy/yaml-file.ts';

/** @throws UsageError that lists the workloads there are */
export function workloadNamed(name: string): Workload {
  return known('workload', workloads, name);
}

/**
 * @param nameOrFile a trace by name, spread over the run, or a CSV file
 * @throws UsageError that lists the traces there are; PolicyError for what is wrong in a file
 */
export function traceNamed(nameOrFile: string, durationNs: number): LoadTrace {
  const isFile = nameOrFile.endsWith('.csv') || existsSync(nameOrFile);
  if (!Object.hasOwn(loadTraces, nameOrFile) && isFile) return parseTraceCsv(nameOrFile, textOf(nameOrFile));
  return known('trace', loadTraces, nameOrFile, ' or a CSV file')(durationNs);
}

/** The server that `--power FILE` describes. @throws PolicyError with all of the file's problems */
export function serverFrom(file: string): ServerModel {
  const yaml = readYamlFile(file);
  const checked = check(serverSchema, yaml.data);
  if (checked.ok) return checked.value;
  throw new PolicyError(
    'bad-file',
    checked.complaints.map((complaint) => toProblem(yaml, complaint)),
  );
}

/** A server of so many such cores. What the package draws besides its cores stays as it is. */
export function withCores(server: ServerModel, cores: number): ServerModel {
  const { machine, power } = server;
  const { minKhz, maxKhz, stepsKhz, cpus } = machine.domains[0]!;
  const shape = cpus.length === 1 ? 'core' : 'package';
  return {
    ...server,
    machine: uniformMachine(cores, { minKhz, maxKhz, stepsKhz }, shape),
    power: { ...power, coreCount: cores },
  };
}

function known<T>(what: string, all: Readonly<Record<string, T>>, name: string, otherwise = ''): T {
  if (Object.hasOwn(all, name)) return all[name]!;
  throw new UsageError(`--${what} ${name}: no such ${what}, expected ${Object.keys(all).join(', ')}${otherwise}`);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`--trace ${file}: cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
