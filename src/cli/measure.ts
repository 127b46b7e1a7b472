import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { systemClock } from '../core/clock.ts';
import { UsageError } from '../core/errors.ts';
import { Random } from '../plant/random.ts';
import { measureSavings } from '../study/measure/measure-savings.ts';
import { savingsLines, savingsReport } from '../study/measure/savings-report.ts';
import { controlClient, ControlError } from '../telemetry/control-client.ts';
import { durationOption } from './duration-option.ts';
import { controlSocketIn, runtimeOption } from './runtime-directory.ts';
import { untilEnded } from './until-ended.ts';
import { wholeNumber } from './whole-number.ts';

/** A look at the energy counters is up to a second old. */
const SHORTEST_BLOCK_MS = 2000;
const MOST_PAIRS = 10_000;
const MOST_SEED = 2 ** 32 - 1;

interface Options {
  readonly runtime: string;
  readonly blocks: number;
  readonly block: number;
  readonly warmup: number;
  readonly service?: string;
  readonly seed?: number;
  readonly json?: true;
}

export function measureCommand(): Command {
  return new Command('measure')
    .description(
      'what governing saves on the live service, and what it costs in latency: governs and pauses (full speed) by turns. Its pause ends with it, at Ctrl-C too',
    )
    .addOption(runtimeOption())
    .option('--blocks <n>', 'blocks of either kind', (text) => wholeNumber('--blocks', text, 1, MOST_PAIRS), 10)
    .option('--block <time>', 'how long a block lasts', durationOption('--block', SHORTEST_BLOCK_MS), 30_000)
    .option('--warmup <time>', 'of each block, left out of the figures', durationOption('--warmup', 1000), 5000)
    .option('--service <name>', 'this service alone')
    .option('--seed <n>', 'of the order of the blocks', (text) => wholeNumber('--seed', text, 0, MOST_SEED))
    .option('--json', 'one JSON object in the end')
    .addHelpText('after', '\nExample:\n  tailgov measure --blocks 20 --block 1min')
    .action(measure);
}

async function measure(options: Options): Promise<void> {
  const { runtime, blocks: pairs, block: blockMs, warmup: warmupMs, service, json } = options;
  if (warmupMs >= blockMs) {
    throw new UsageError(`--warmup ${warmupMs / 1000}s: expected less than a block (--block ${blockMs / 1000}s)`);
  }
  await untilEnded(async (ended) => {
    const measurement = await measureSavings({
      daemon: controlClient(controlSocketIn(runtime)),
      holder: `measure-${process.pid}`,
      random: new Random(options.seed ?? systemClock.wallMs() % MOST_SEED, 'order of blocks'),
      sleep: async (ms, signal) => void (await sleep(ms, undefined, signal === undefined ? {} : { signal })),
      pairs,
      blockMs,
      warmupMs,
      ...(service === undefined ? {} : { service }),
      signal: ended,
      onBlock: ({ arm, power }, count) => {
        const watts = power === null ? '' : `, ${power.watts.toFixed(1)} W ${power.origin.source}`;
        process.stderr.write(`block ${count} of ${2 * pairs}: ${arm === 'full' ? 'full speed' : arm}${watts}\n`);
      },
    });
    const report = savingsReport(measurement, { blockMs, warmupMs });
    process.stdout.write(json === true ? `${JSON.stringify(report)}\n` : `${savingsLines(report).join('\n')}\n`);
    if (measurement.notResumed !== null) {
      throw new ControlError(
        'refused',
        `the daemon is paused still: ${measurement.notResumed}; run \`tailgov resume\``,
      );
    }
    if (measurement.pairs.length === 0) process.exitCode = 1;
  });
}
