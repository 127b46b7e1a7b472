import { Command, Option } from 'commander';
import { systemClock } from '../core/clock.ts';
import { UsageError } from '../core/errors.ts';
import type { Snapshot } from '../core/sensor.ts';
import { listeningPorts } from '../sensor/listening-ports.ts';
import { openSensor } from '../sensor/open-sensor.ts';
import { METHOD_CHOICES, type MethodChoice } from '../sensor/probe-methods.ts';
import { durationOption } from './duration-option.ts';
import { jsonLines, tableLines } from './observe-output.ts';
import { observeWindows } from './observe-windows.ts';

interface ObserveOptions {
  readonly port: readonly number[];
  readonly interval: number;
  readonly duration?: number;
  readonly method: MethodChoice;
  readonly json?: true;
  readonly summary?: true;
}

const SHORTEST_INTERVAL_MS = 10;

const EXAMPLE = `
Latency is measured in the kernel, from the arrival of a request's first byte to the last byte of its reply; the server
need not be restarted. The network, the client and the wait before the socket are not in it.

Example: a local Redis, ten seconds, then a summary
  tailgov observe --port 6379 --duration 10s --summary`;

export function observeCommand(): Command {
  return new Command('observe')
    .description('show the latency of a server, live')
    .requiredOption('--port <number>', 'a local TCP port, a target each time it is given', collectPort)
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
    .option('--json', 'one JSON object a line, a target and a window each')
    .option('--summary', 'at the end, the whole run as one window')
    .addHelpText('after', EXAMPLE)
    .action(async (options: ObserveOptions) => {
      const targets = options.port.map((port) => ({ name: `port:${port}`, ports: [port] }));
      const output = options.json === true ? jsonLines() : tableLines(process.stdout.isTTY);
      const stop = new AbortController();
      const sensor = openSensor({ targets, method: options.method });
      try {
        noteSilentPorts(options.port);
        const total = await untilStopped(stop, () =>
          observeWindows({
            sensor,
            clock: systemClock,
            intervalMs: options.interval,
            durationMs: options.duration ?? Infinity,
            stopped: stop.signal,
            onWindow: (snapshots) => print(output.window(snapshots, systemClock.wallMs())),
          }),
        );
        if (wantsSummary(options, stop.signal)) print(output.summary(total, systemClock.wallMs()));
      } finally {
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

function noteSilentPorts(ports: readonly number[]): void {
  const listening = listeningPorts();
  for (const port of ports) {
    if (!listening.has(port)) process.stderr.write(`nothing listens on port ${port} yet: waiting for it\n`);
  }
}

function collectPort(text: string, ports: readonly number[] = []): readonly number[] {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) throw new UsageError(`--port ${text}: expected 1 to 65535`);
  return ports.includes(port) ? ports : [...ports, port];
}
