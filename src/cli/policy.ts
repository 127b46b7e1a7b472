import { Argument, Command } from 'commander';
import { stringify } from 'yaml';
import { controllers } from '../compose/controllers.ts';
import { type FileProblem, formatProblem, PolicyError } from '../core/errors.ts';
import { formatQuantile, NS_PER_MS } from '../core/units.ts';
import { checkFile, type CheckedFile } from '../policy/check-file.ts';
import { describeParameters, type ParameterDescription } from '../policy/describe-parameters.ts';
import { configJsonSchema, policyJsonSchema } from '../policy/json-schema.ts';
import type { Config } from '../policy/load-config.ts';
import type { Policy, PolicySettings } from '../policy/load-policy.ts';
import { policySwapCommand } from './policy-swap.ts';
import { policyTuneCommand } from './policy-tune.ts';
import { readyPolicies } from './ready-policies.ts';

export function policyCommand(): Command {
  return new Command('policy')
    .description('Check policies and configs, show what they can say, and exchange them while the daemon runs')
    .addCommand(checkCommand())
    .addCommand(schemaCommand())
    .addCommand(listCommand())
    .addCommand(policySwapCommand())
    .addCommand(policyTuneCommand());
}

function checkCommand(): Command {
  return new Command('check')
    .description('Check policy and config files, and print them with every default filled in')
    .argument('<file...>', 'policies and configs; what is in a file tells which it is')
    .option('--json', 'one JSON object a file')
    .addHelpText('after', '\nExample:\n  tailgov policy check tailgov.yaml policies/pid.yaml')
    .action((files: string[], options: { json?: boolean }) => {
      const problems = files.flatMap((file) => {
        const report = reportOn(file);
        if (options.json === true) print(JSON.stringify(report));
        else if (report.ok) print(`# ${file}: ${report.kind}, ok\n${stringify(report.resolved)}`);
        return report.problems;
      });
      if (problems.length === 0) return;
      // In JSON they have been told already.
      if (options.json === true) process.exitCode = 2;
      else throw new PolicyError('bad-file', unique(problems));
    });
}

/** A policy given beside the config that names it would be told twice. */
function unique(problems: readonly FileProblem[]): readonly FileProblem[] {
  return [...new Map(problems.map((problem) => [formatProblem(problem), problem])).values()];
}

function schemaCommand(): Command {
  return new Command('schema')
    .description('Print the JSON Schema of policies or of configs, for editors')
    .addArgument(new Argument('[kind]', 'which kind of file').choices(['policy', 'config']).default('policy'))
    .addHelpText('after', '\nExample:\n  tailgov policy schema config > tailgov.schema.json')
    .action((kind: string) => {
      print(JSON.stringify(kind === 'config' ? configJsonSchema() : policyJsonSchema(controllers), null, 2));
    });
}

function listCommand(): Command {
  return new Command('list')
    .description('List the controllers with their parameters, and the ready policies')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExample:\n  tailgov policy list')
    .action((options: { json?: boolean }) => {
      const kinds = Object.values(controllers).map((kind) => ({
        name: kind.name,
        summary: kind.summary,
        parameters: describeParameters(kind),
      }));
      const policies = Object.values(readyPolicies());
      if (options.json === true) {
        print(JSON.stringify({ controllers: kinds, policies }));
        return;
      }
      for (const { name, summary, parameters } of kinds) {
        print(`${name}\n  ${summary}`);
        print(parameters.map(parameterLine).join('\n') + '\n');
      }
      print(`Ready policies:\n${policies.map((file) => `  ${file}`).join('\n')}`);
    });
}

function parameterLine({ name, description, default: value, schema }: ParameterDescription): string {
  const fallback = value === undefined ? '-' : typeof value === 'string' ? value : JSON.stringify(value);
  const { minimum, maximum } = schema;
  const range = minimum === undefined ? '' : ` (${minimum} to ${maximum ?? 'any'})`;
  return `    ${name.padEnd(20)}${fallback.padEnd(6)}${description}${range}`;
}

type FileReport =
  | {
      readonly file: string;
      readonly ok: true;
      readonly kind: string;
      readonly resolved: unknown;
      readonly problems: [];
    }
  | { readonly file: string; readonly ok: false; readonly problems: readonly FileProblem[] };

function reportOn(file: string): FileReport {
  try {
    const checked = checkFile(file, controllers);
    return { file, ok: true, kind: checked.kind, resolved: resolvedFile(checked), problems: [] };
  } catch (error) {
    if (error instanceof PolicyError) return { file, ok: false, problems: error.problems };
    throw error;
  }
}

/** As a file would say it, with nothing left to defaults. */
function resolvedFile(checked: CheckedFile): unknown {
  return checked.kind === 'policy' ? resolvedPolicy(checked.policy) : resolvedConfig(checked.config);
}

function resolvedPolicy({ controllerName, fallback, schedule, ...settings }: Policy) {
  return {
    controller: controllerName,
    ...resolvedSettings(settings),
    fallback:
      fallback === null ? 'performance' : { controller: fallback.controllerName, parameters: fallback.parameters },
    ...(schedule.length === 0
      ? {}
      : {
          schedule: schedule.map((rule) => ({
            cron: rule.cron,
            ...(rule.timeZone === undefined ? {} : { timeZone: rule.timeZone }),
            set: resolvedSettings(rule.settings),
          })),
        }),
  };
}

function resolvedSettings({ intervalMs, parameters, level }: Omit<PolicySettings, 'controller'>) {
  const { min, max, risePerS, fallPerS } = level;
  return {
    interval: `${intervalMs}ms`,
    parameters,
    level: {
      min,
      max,
      ...(risePerS === undefined ? {} : { rise: `${risePerS}/s` }),
      ...(fallPerS === undefined ? {} : { fall: `${fallPerS}/s` }),
    },
  };
}

function resolvedConfig({ services, frequency, affinity, planner, telemetry, ...config }: Config) {
  const { minKhz, maxKhz, ...frequencies } = frequency;
  const { mode, onExit, runtimeDirectory } = config;
  return {
    mode,
    services: services.map(({ name, target, protocol, slo, cores, policy }) => ({
      name,
      target: { ...target, protocol },
      slo: {
        quantile: formatQuantile(slo.quantile),
        latency: `${slo.latencyNs / NS_PER_MS}ms`,
        window: `${slo.windowMs / 1000}s`,
      },
      cores,
      policy: policy.file,
    })),
    actuators: {
      frequency: {
        ...frequencies,
        ...(minKhz === undefined ? {} : { min: `${minKhz / 1000}MHz` }),
        ...(maxKhz === undefined ? {} : { max: `${maxKhz / 1000}MHz` }),
      },
      affinity,
    },
    planner,
    onExit,
    telemetry: resolvedTelemetry(telemetry),
    ...(runtimeDirectory === undefined ? {} : { runtimeDirectory }),
  };
}

function resolvedTelemetry({ metrics, ...others }: Config['telemetry']) {
  if (metrics === null) return { metrics: 'off', ...others };
  const host = metrics.host.includes(':') ? `[${metrics.host}]` : metrics.host;
  return { metrics: `${host}:${metrics.port}`, ...others };
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
