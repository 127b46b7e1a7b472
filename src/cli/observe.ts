import { Command, Option } from 'commander';
import { systemClock } from '../core/clock.ts';
import { UsageError } from '../core/errors.ts';
import { PROTOCOLS, type Snapshot } from '../core/sensor.ts';
import type { TargetPlace } from '../core/target-place.ts';
import { openSensor, type TargetSpec } from '../sensor/open-sensor.ts';
import { METHOD_CHOICES, type MethodChoice } from '../sensor/probe-methods.ts';
import { durationOption } from './duration-option.ts';
import { recordingFile, recordLimitOption, recordOption, recordSensor } from './record-options.ts';
import { jsonLines, tableLines } from './observe-output.ts';
import { observeWindows } from './observe-windows.ts';

type Place = TargetPlace & Pick<TargetSpec, 'protocol'>;

interface ObserveOptions {
  readonly port?: readonly Place[];
  readonly pid?: readonly TargetPlace[];
  readonly unit?: readonly TargetPlace[];
  readonly cgroup?: readonly TargetPlace[];
  readonly container?: readonly TargetPlace[];
  readonly unix?: readonly TargetPlace[];
  readonly interval: number;
  readonly duration?: number;
  readonly method: MethodChoice;
  readonly protocol: NonNullable<TargetSpec['protocol']>;
  readonly secondary?: true;
  readonly json?: true;
  readonly summary?: true;
  readonly record?: string;
  readonly recordLimit: number;
}

const SHORTEST_INTERVAL_MS = 10;

const EXAMPLE = `
Latency is measured in the kernel, from the arrival of a request's first byte to the last byte of its reply; the server
need not be restarted. The network, the client and the wait before the socket are not in it.

What is not there yet is waited for, and what is restarted is followed.

Example: a local Redis, ten seconds, then a summary
  tailgov observe --port 6379 --duration 10s --summary
Example: a systemd unit, and port 80 of the network namespace blue
  tailgov observe --unit nginx --port 80@blue

Example: a minute of every request, for tailgov simulate --recording
  tailgov observe --port 6379 --duration 1min --record redis.rec`;

export function observeCommand(): Command {
  return new Command('observe')
    .description('show the latency of a server, live')
    .option(
      '--port <number>',
      'a local TCP port, a target each time it is given; PORT@NETNS: of a network namespace; PORT/udp: datagrams',
      collectPort,
    )
    .option('--pid <number>', 'a process with its descendants', collectPid)
    .option('--unit <name>', 'a systemd unit', collect('unit'))
    .option('--cgroup <path>', 'a cgroup with all below it', collect('cgroup'))
    .option('--container <id>', 'a container, by its id or twelve or more digits of it', collect('container'))
    .option('--unix <path>', 'a Unix-domain stream socket', collect('unix'))
    .addOption(
      new Option('--interval <time>', 'the length of a window')
        .argParser(durationOption('--interval', SHORTEST_INTERVAL_MS))
        .default(1000, '1s'),
    )
    .option(
      '--duration <time>',
      'stop after this long, such as 10s',
      durationOption('--duration', SHORTEST_INTERVAL_MS),
    )
    .addOption(new Option('--method <name>', 'how to measure').choices(METHOD_CHOICES).default('auto'))
    .addOption(
      new Option(
        '--protocol <name>',
        'what a request is: turn or HTTP/2 stream (auto), always a turn, always a stream, datagram, accept to close',
      )
        .choices([...PROTOCOLS, 'connection'])
        .default('auto'),
    )
    .option('--secondary', 'also how long threads wait for work, how evenly replies leave, and cores kept busy')
    .option('--json', 'one JSON object a line, a target and a window each')
    .option('--summary', 'at the end, the whole run as one window')
    .addOption(recordOption())
    .addOption(recordLimitOption())
    .addHelpText('after', EXAMPLE)
    .action(async (options: ObserveOptions) => {
      const targets = targetsOf(options);
      const output = options.json === true ? jsonLines() : tableLines(process.stdout.isTTY);
      const stop = new AbortController();
      const file = recordingFile(options, targets.length);
      const secondary = options.secondary === true;
      const sensor = openSensor({ targets, method: options.method, secondary, record: file !== null });
      const recording = file === null ? null : recordSensor(file, sensor, targets[0]!.name);
      try {
        for (const place of sensor.waiting()) process.stderr.write(`${waitingNote(place)}\n`);
        const total = await untilStopped(stop, () =>
          observeWindows({
            sensor,
            clock: systemClock,
            intervalMs: options.interval,
            durationMs: options.duration ?? Infinity,
            stopped: stop.signal,
            onWindow: (snapshots) => {
              recording?.window(snapshots[0]!);
              print(output.window(snapshots, systemClock.wallMs()));
            },
          }),
        );
        if (wantsSummary(options, stop.signal)) print(output.summary(total, systemClock.wallMs()));
      } finally {
        recording?.close();
        sensor.close();
      }
    });
}

/** Who ends the table by hand wants to know what it came to; a program that reads JSON gets what it asked for. */
function wantsSummary(options: ObserveOptions, stopped: AbortSignal): boolean {
  return options.summary === true || (options.json !== true && stopped.aborted);
}

const print = (lines: readonly string[]): void => {
  for (const line of lines) process.stdout.write(`${line}\n`);
};

/** Ctrl-C, SIGTERM and a reader that has gone away end the run, not the process. */
async function untilStopped(
  stop: AbortController,
  run: () => Promise<readonly Snapshot[]>,
): Promise<readonly Snapshot[]> {
  const end = () => stop.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  process.stdout.on('error', end);
  try {
    return await run();
  } finally {
    process.off('SIGINT', end).off('SIGTERM', end);
  }
}

function waitingNote(place: string): string {
  return `nothing listens on ${place} yet: waiting for it`;
}

function targetsOf(options: ObserveOptions): readonly TargetSpec[] {
  const { port = [], pid = [], unit = [], cgroup = [], container = [], unix = [] } = options;
  const places = new Map(
    [...port, ...pid, ...unit, ...cgroup, ...container, ...unix].map((each) => [nameOf(each), each]),
  );
  if (places.size === 0) {
    throw new UsageError('no target: expected --port, --pid, --unit, --cgroup, --container or --unix');
  }
  return [...places].map(([name, place]) => ({ name, protocol: options.protocol, ...place }));
}

/** As it was asked for: `port:80@blue`, `unit:nginx`. */
function nameOf({ ports, netns, protocol, ...place }: Place): string {
  if (ports !== undefined)
    return `port:${ports.join(',')}${protocol === undefined ? '' : `/${protocol}`}${netns === undefined ? '' : `@${netns}`}`;
  return Object.entries(place)
    .map(([kind, value]) => `${kind}:${value}`)
    .join();
}

function collectPort(text: string, before: readonly Place[] = []): readonly Place[] {
  const [, digits, protocol, netns] = /^(\d+)(\/udp)?(?:@(.+))?$/.exec(text) ?? [];
  const port = Number(digits);
  if (!(port >= 1 && port <= 65_535)) throw new UsageError(`--port ${text}: expected 1 to 65535`);
  return [
    ...before,
    {
      ports: [port],
      ...(netns === undefined ? {} : { netns }),
      ...(protocol === undefined ? {} : { protocol: 'udp' }),
    },
  ];
}

function collectPid(text: string, before: readonly TargetPlace[] = []): readonly TargetPlace[] {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new UsageError(`--pid ${text}: expected a process id`);
  return [...before, { pid: Number(text) }];
}

const collect =
  (kind: 'unit' | 'cgroup' | 'container' | 'unix') =>
  (text: string, before: readonly TargetPlace[] = []): readonly TargetPlace[] => [...before, { [kind]: text }];
