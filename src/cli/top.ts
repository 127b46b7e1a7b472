import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { messageOf } from '../core/errors.ts';
import { type ControlClient, controlClient, ControlError } from '../telemetry/control-client.ts';
import type { DaemonStatus } from '../telemetry/daemon-status.ts';
import { TerminalPainter } from '../telemetry/terminal-painter.ts';
import { wantsColor } from '../telemetry/terminal-text.ts';
import {
  keysIn,
  pressTopKey,
  TOP_SPAN_MS,
  type TopAction,
  topLines,
  type TopState,
  topView,
} from '../telemetry/top-view.ts';
import { durationOption } from './duration-option.ts';
import { controlSocketIn, runtimeOption } from './runtime-directory.ts';

interface TopOptions {
  readonly runtime: string;
  readonly interval: number;
  readonly duration?: number;
}

const SHORTEST_INTERVAL_MS = 100;

const EXAMPLE = `
Keys: p pauses and resumes governing, ↑ and ↓ (or 1 to 9) choose the service, q quits.
Where the output is no terminal it is a line a service and interval.

Example: a line a second into a file, for an hour
  tailgov top --duration 1h > tailgov.log`;

export function topCommand(): Command {
  return new Command('top')
    .description('what the running daemon sees and does, live')
    .addOption(runtimeOption())
    .addOption(
      new Option('--interval <time>', 'time between two looks')
        .argParser(durationOption('--interval', SHORTEST_INTERVAL_MS))
        .default(1000, '1s'),
    )
    .option(
      '--duration <time>',
      'stop after this long, such as 1min',
      durationOption('--duration', SHORTEST_INTERVAL_MS),
    )
    .addHelpText('after', EXAMPLE)
    .action(async ({ runtime, interval, duration }: TopOptions) => {
      const client = controlClient(controlSocketIn(runtime));
      // A daemon that is not there is told at once, as `status` does, and not on an empty screen.
      await client.status();
      const end = duration === undefined ? new AbortController().signal : AbortSignal.timeout(duration);
      await (process.stdout.isTTY ? new TopScreen(client, interval).run(end) : printLines(client, interval, end));
    });
}

/** Until the end, or until the daemon has gone. */
async function printLines(client: ControlClient, intervalMs: number, end: AbortSignal): Promise<void> {
  do {
    for (const line of topLines(await client.status())) process.stdout.write(`${line}\n`);
  } while (await slept(intervalMs, end));
}

/** The terminal while `top` runs: looks at the daemon, draws, and takes keys. */
class TopScreen {
  readonly #client: ControlClient;
  readonly #intervalMs: number;
  readonly #painter = new TerminalPainter(process.stdout);
  readonly #color = wantsColor(process.stdout.isTTY, process.env);
  readonly #quit = new AbortController();
  #state: TopState = { status: null, ticks: [], selected: 0, trouble: null };

  constructor(client: ControlClient, intervalMs: number) {
    this.#client = client;
    this.#intervalMs = intervalMs;
  }

  async run(end: AbortSignal): Promise<void> {
    const stop = () => this.#quit.abort();
    const draw = () => this.#draw();
    const onKeys = (sent: string) => {
      for (const key of keysIn(sent)) this.#press(key);
    };
    end.addEventListener('abort', stop);
    process.once('SIGINT', stop).once('SIGTERM', stop).once('SIGHUP', stop);
    process.stdout.on('resize', draw);
    const { stdin } = process;
    if (stdin.isTTY) stdin.setRawMode(true).setEncoding('utf8').on('data', onKeys);
    try {
      do {
        await this.#look();
        draw();
      } while (await slept(this.#intervalMs, this.#quit.signal));
    } finally {
      this.#painter.close();
      process.stdout.off('resize', draw);
      process.off('SIGINT', stop).off('SIGTERM', stop).off('SIGHUP', stop);
      if (stdin.isTTY) stdin.off('data', onKeys).setRawMode(false).pause();
    }
  }

  /** A daemon that is restarted is followed: what was seen of the one before is dropped. */
  async #look(): Promise<void> {
    try {
      const status = await this.#client.status();
      const same = this.#state.status?.startedAt === status.startedAt;
      const kept = same ? this.#state.ticks : [];
      const ticks = [...kept, ...(await this.#client.ticksAfter(kept.at(-1)?.tick ?? -1))];
      const oldestMs = (ticks.at(-1)?.atMs ?? 0) - TOP_SPAN_MS;
      this.#state = { ...this.#state, status, ticks: ticks.filter(({ atMs }) => atMs >= oldestMs), trouble: null };
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      this.#state = { ...this.#state, trouble: error.message };
    }
  }

  #draw(): void {
    this.#painter.paint(topView(this.#state, { columns: process.stdout.columns || 80, color: this.#color }));
  }

  #press(key: string): void {
    const { state, action } = pressTopKey(this.#state, key);
    this.#state = state;
    if (action === 'quit') return this.#quit.abort();
    if (action !== undefined) void this.#do(action);
    this.#draw();
  }

  async #do(action: Exclude<TopAction, 'quit'>): Promise<void> {
    try {
      const status: DaemonStatus = await this.#client[action]();
      this.#state = { ...this.#state, status, trouble: null };
    } catch (error) {
      this.#state = { ...this.#state, trouble: messageOf(error) };
    }
    if (!this.#quit.signal.aborted) this.#draw();
  }
}

/** False when it was cut short. */
async function slept(ms: number, end: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, undefined, { signal: end });
    return true;
  } catch (error) {
    if (end.aborted) return false;
    throw error;
  }
}
