import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { controllers } from '../compose/controllers.ts';
import { systemClock } from '../core/clock.ts';
import { messageOf, SensorError, UsageError } from '../core/errors.ts';
import { formatNs, NS_PER_MS } from '../core/units.ts';
import { firstConfig, type FoundService, leftOutBecause, type Measured, suggestSlo } from '../policy/first-config.ts';
import { loadConfig } from '../policy/load-config.ts';
import { MAX_TARGETS } from '../sensor/layout.ts';
import { type ListeningService, listeningServices } from '../sensor/listening-services.ts';
import { openSensor } from '../sensor/open-sensor.ts';
import { controlClient, ControlError } from '../telemetry/control-client.ts';
import type { DaemonStatus } from '../telemetry/daemon-status.ts';
import { durationOption } from './duration-option.ts';
import { observeWindows } from './observe-windows.ts';
import { readyPolicies } from './ready-policies.ts';
import { controlSocketIn, runtimeOption } from './runtime-directory.ts';

interface InitOptions {
  /** ms; false: nothing is measured */
  readonly observe: number | false;
  readonly force?: true;
  readonly runtime: string;
}

interface Observation {
  readonly byPort: ReadonlyMap<number, Measured>;
  /** How the figures came to be, or why there are none; a sentence. */
  readonly measuring: string;
}

const SHORTEST_OBSERVE_MS = 100;
const DEFAULT_DIRECTORY = '/etc/tailgov';
const DEFAULT_CONFIG = `${DEFAULT_DIRECTORY}/tailgov.yaml`;
const POLICY = 'policies/pid.yaml';

const EXAMPLE = `
What is written is a dry run: started with it, the daemon measures and decides, and changes nothing.

Example: what listens on this machine, under its usual load
  sudo tailgov init --observe 30s
Example: into the present directory, to read it first
  tailgov init . --no-observe`;

export function initCommand(): Command {
  return new Command('init')
    .description(
      'write a first config: the services that listen on this machine, with suggested objectives, in dry run',
    )
    .argument('[directory]', 'where tailgov.yaml and the policy go', DEFAULT_DIRECTORY)
    .addOption(
      new Option('--observe <time>', 'how long the services are measured')
        .argParser(durationOption('--observe', SHORTEST_OBSERVE_MS))
        .default(5_000, '5s'),
    )
    .option('--no-observe', 'measure nothing: objectives are guesses then')
    .option('--force', 'overwrite what is there')
    .addOption(runtimeOption())
    .addHelpText('after', EXAMPLE)
    .action(async (directory: string, options: InitOptions) => {
      const files = filesIn(resolve(directory));
      if (options.force !== true) refuseToOverwrite(files);
      const daemon = await runningDaemon(options.runtime);
      const listening = listeningServices().map((service) => withReason(service, daemon));
      const { byPort, measuring } = await observe(listening, options.observe, daemon);
      const found = withMeasured(listening, byPort);
      write(files.config, firstConfig({ found, policyFile: POLICY, measuring, mostServices: MAX_TARGETS }));
      write(files.policy, shippedPolicy());
      // What we tell people to start with has to be good.
      loadConfig(files.config, controllers);
      process.stdout.write(`${report(found, measuring, files).join('\n')}\n`);
    });
}

const filesIn = (directory: string) => ({
  config: join(directory, 'tailgov.yaml'),
  policy: join(directory, POLICY),
});
type Files = ReturnType<typeof filesIn>;

const shippedPolicy = () => readFileSync(readyPolicies()['pid']!, 'utf8');

/** A policy that is the shipped one is none of the operator's. */
function refuseToOverwrite({ config, policy }: Files): void {
  const policyIsOurs = !existsSync(policy) || readFileSync(policy, 'utf8') === shippedPolicy();
  const there = [...(existsSync(config) ? [config] : []), ...(policyIsOurs ? [] : [policy])];
  if (there.length === 0) return;
  throw new UsageError(
    `${there.join(' and ')} ${there.length === 1 ? 'exists' : 'exist'}, and nothing is written: name another directory, or --force to overwrite`,
  );
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

async function runningDaemon(runtime: string): Promise<DaemonStatus | undefined> {
  try {
    return await controlClient(controlSocketIn(runtime)).status();
  } catch (error) {
    if (error instanceof ControlError && error.code !== 'refused') return undefined;
    throw error;
  }
}

function withReason(service: ListeningService, daemon: DaemonStatus | undefined): FoundService {
  const { port, pids, programs } = service;
  const ours = daemon !== undefined && pids.includes(daemon.pid);
  const leftOut = ours ? 'it is tailgov’s own' : leftOutBecause(programs);
  return { port, programs, ...(leftOut === undefined ? {} : { leftOut }) };
}

async function observe(
  listening: readonly FoundService[],
  durationMs: number | false,
  daemon: DaemonStatus | undefined,
): Promise<Observation> {
  const byPort = new Map<number, Measured>();
  const unmeasured = (why: string) => ({ byPort, measuring: `Nothing was measured: ${why}.` });
  if (durationMs === false) return unmeasured('--no-observe was given');
  const ports = listening.flatMap(({ port, leftOut }) => (leftOut === undefined ? [port] : [])).slice(0, MAX_TARGETS);
  if (ports.length === 0) return unmeasured('no service was found');
  let sensor;
  try {
    sensor = openSensor({ targets: ports.map((port) => ({ name: `${port}`, ports: [port] })) });
  } catch (error) {
    if (error instanceof SensorError) return unmeasured(messageOf(error));
    throw error;
  }
  try {
    process.stderr.write(
      `measuring ${ports.length === 1 ? 'one port' : `${ports.length} ports`} for ${durationMs / 1000} s\n`,
    );
    const total = await observeWindows({
      sensor,
      clock: systemClock,
      intervalMs: durationMs,
      durationMs,
      stopped: new AbortController().signal,
      onWindow: () => undefined,
    });
    for (const { target, requests, latency } of total) {
      const [p50Ns, p99Ns] = latency.quantilesNs([0.5, 0.99]);
      byPort.set(Number(target), { requests, p50Ns: p50Ns!, p99Ns: p99Ns! });
    }
    return { byPort, measuring: howMeasured(sensor.method, (total[0]?.windowNs ?? 0) / NS_PER_MS, daemon) };
  } finally {
    sensor.close();
  }
}

/** Where one service was at work, those that had nothing to do are left for later: nothing is known of them. */
function withMeasured(
  listening: readonly FoundService[],
  byPort: ReadonlyMap<number, Measured>,
): readonly FoundService[] {
  const atWork = [...byPort.values()].some(({ requests }) => requests > 0);
  return listening.map((service) => {
    const measured = byPort.get(service.port);
    if (measured === undefined) return service;
    const leftOut = atWork && measured.requests === 0 ? 'no request came while it was measured' : undefined;
    return { ...service, measured, ...(leftOut === undefined ? {} : { leftOut }) };
  });
}

function howMeasured(method: string, windowMs: number, daemon: DaemonStatus | undefined): string {
  const slowed = daemon !== undefined && daemon.mode === 'govern' && daemon.state === 'governing';
  const speed = slowed
    ? 'while a daemon governed: `tailgov pause` first, for figures of full speed'
    : 'with the CPUs as fast as the machine let them be';
  return `Measured for ${(windowMs / 1000).toFixed(1)} s by the method ${method}, ${speed}.`;
}

function report(found: readonly FoundService[], measuring: string, { config, policy }: Files): readonly string[] {
  return [
    measuring,
    ...found.map(
      (service) => `  ${`${service.port}`.padEnd(6)}${service.programs.join(', ').padEnd(18)} ${fate(service)}`,
    ),
    ...(found.some(({ leftOut }) => leftOut === undefined)
      ? []
      : ['  no service was found: the config has an example']),
    `wrote ${config}, a dry run`,
    `wrote ${policy}`,
    `next: read the config, then: tailgov run${config === DEFAULT_CONFIG ? '' : ` --config ${config}`}`,
    'to see what it would do: tailgov top',
  ];
}

function fate({ leftOut, measured }: FoundService): string {
  if (leftOut !== undefined) return `left out: ${leftOut}`;
  if (measured === undefined || measured.requests === 0) return 'no request measured: its objective is a guess';
  const { requests, p99Ns } = measured;
  return `${requests} requests, p99 ${formatNs(p99Ns)}: p99 ≤ ${suggestSlo(p99Ns)} suggested`;
}
