import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { controllers } from '../../compose/controllers.ts';
import { messageOf, PolicyError, UsageError } from '../../core/errors.ts';
import { durationNs } from '../../core/quantity-schema.ts';
import { loadTraces } from '../../plant/load-trace.ts';
import { xeonSilver4114 } from '../../plant/servers.ts';
import { workloads } from '../../plant/workloads.ts';
import { didYouMean } from '../../policy/did-you-mean.ts';
import { loadPolicy } from '../../policy/load-policy.ts';
import { check, type Complaint, oneOf, toProblem } from '../../policy/problems.ts';
import { readYamlFile } from '../../policy/yaml-file.ts';
import { baselines } from '../baselines/registry.ts';
import { parseObjective } from '../objective.ts';
import { serverFrom, traceNamed } from '../scenario.ts';
import { type SweepDimensions, USUAL_DURATION_NS } from './sweep-cell.ts';

/** What a file asks to be run. */
export interface SweepFile {
  /** Paths; full speed is not among them unless it was named. */
  readonly policies: readonly string[];
  readonly baselines: readonly string[];
  readonly dimensions: SweepDimensions;
  readonly reference: boolean;
}

const ALL = 'all';
const MOST_SEEDS = 1000;

const objective = () =>
  z.string().transform((text, context) => {
    const parsed = parseObjective(text);
    if (parsed !== undefined) return parsed;
    const message = `${JSON.stringify(text)} given, expected a quantile and a latency such as p99:5ms`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

const seed = () =>
  z
    .int()
    .min(-(2 ** 52))
    .max(2 ** 52);

const sweepSchema = z.strictObject({
  policies: z.array(z.string()).default([]).describe('Files, relative to this one, or names of ready policies'),
  baselines: z
    .array(z.enum([...Object.keys(baselines), ALL]))
    .default([])
    .describe('Published rules'),
  workloads: z
    .array(z.enum(Object.keys(workloads)))
    .default([])
    .describe('What the service is like'),
  traces: z.array(z.string()).default(['step']).describe('How the load changes: names, or CSV files'),
  recordings: z.array(z.string()).default([]).describe('What was really asked, beside workloads and traces'),
  slos: z.array(objective()).default([]).describe('Such as p99:5ms; none: those of workloads and recordings'),
  power: z.array(z.string()).default([]).describe('Servers: files as --power takes them; none: the published one'),
  seeds: z
    .union([z.int().min(1).max(MOST_SEEDS), z.array(seed()).min(1).max(MOST_SEEDS)], {
      error: ({ input }) =>
        `${JSON.stringify(input)} given, expected how many seeds, from 1 on (1 to ${MOST_SEEDS}), or a list of whole numbers`,
    })
    .default(1)
    .describe('How many, from 1 on, or a list'),
  cores: z.int().min(1).max(1024).optional().describe('Of each server'),
  duration: durationNs({ min: '1s', max: '100d' }).optional().describe('Simulated time of each run'),
  planner: z.enum(['frequency', 'cores', 'pack']).default('frequency').describe('What a level becomes'),
  reference: z.boolean().default(false).describe('Also search the clairvoyant reference'),
});

/**
 * Reads a sweep, and checks all that it names.
 *
 * @param ready the policies that have a name
 * @throws PolicyError with all problems of the file and of those that it names
 */
export function loadSweepFile(file: string, ready: Readonly<Record<string, string>>): SweepFile {
  const yaml = readYamlFile(file);
  const checked = check(sweepSchema, yaml.data);
  const bad = (complaints: readonly Complaint[]) =>
    new PolicyError(
      'bad-file',
      complaints.map((complaint) => toProblem(yaml, complaint)),
    );
  if (!checked.ok) throw bad(checked.complaints);
  const given = checked.value;
  const complaints: Complaint[] = [];
  const elsewhere: PolicyError[] = [];
  const pathOf = (name: string) => resolve(dirname(yaml.file), name);
  /** What `use` makes of each entry of a list; what it throws becomes a complaint about that entry. */
  const each = <T>(key: string, entries: readonly string[], use: (entry: string) => T): readonly T[] =>
    entries.flatMap((entry, index): readonly T[] => {
      try {
        return [use(entry)];
      } catch (error) {
        // What is wrong inside another file is told with its place there.
        if (error instanceof PolicyError && error.code === 'bad-file') elsewhere.push(error);
        else if (error instanceof PolicyError || error instanceof UsageError)
          complaints.push({ path: [key, index], message: withoutOption(messageOf(error)) });
        else throw error;
        return [];
      }
    });
  if (given.workloads.length === 0 && given.recordings.length === 0) {
    complaints.push({ path: [], message: 'nothing is asked of a server, expected workloads or recordings' });
  }
  const policies = each('policies', given.policies, (name) => {
    const path = !existsSync(pathOf(name)) && Object.hasOwn(ready, name) ? ready[name]! : pathOf(name);
    if (!existsSync(path)) {
      const names = Object.keys(ready);
      const near = didYouMean(name, names) || ',';
      throw new UsageError(`${JSON.stringify(name)} given: no such policy${near} expected a file or ${oneOf(names)}`);
    }
    loadPolicy(path, controllers);
    return path;
  });
  const traces = each('traces', given.traces, (name) => {
    const known = Object.hasOwn(loadTraces, name);
    if (!known && !name.endsWith('.csv')) {
      const names = Object.keys(loadTraces);
      const near = didYouMean(name, names) || ',';
      throw new UsageError(
        `${JSON.stringify(name)} given: no such trace${near} expected ${names.join(', ')} or a CSV file`,
      );
    }
    const trace = known ? name : pathOf(name);
    traceNamed(trace, given.duration ?? USUAL_DURATION_NS);
    return trace;
  });
  const servers = each('power', given.power, (name) => serverFrom(pathOf(name)));
  const recordings = each('recordings', given.recordings, (name) => {
    if (!existsSync(pathOf(name)))
      throw new UsageError(`${JSON.stringify(name)} given: no such file, expected a recording`);
    return pathOf(name);
  });
  if (complaints.length > 0 || elsewhere.length > 0) {
    throw new PolicyError('bad-file', [...bad(complaints).problems, ...elsewhere.flatMap(({ problems }) => problems)]);
  }
  const named = new Set(given.baselines);
  return {
    policies,
    baselines: named.has(ALL) ? Object.keys(baselines) : [...named],
    dimensions: {
      ...{ workloads: given.workloads, traces, recordings },
      servers: servers.length === 0 ? [xeonSilver4114] : servers,
      objectives: given.slos,
      seeds:
        typeof given.seeds === 'number' ? Array.from({ length: given.seeds }, (_, index) => index + 1) : given.seeds,
      ...(given.cores === undefined ? {} : { cores: given.cores }),
      ...(given.duration === undefined ? {} : { durationNs: given.duration }),
      strategy: given.planner,
    },
    reference: given.reference,
  };
}

/** Messages about an option begin with it; here a place in the file stands for that. */
const withoutOption = (message: string) => message.replace(/^--\S+ /, '');
