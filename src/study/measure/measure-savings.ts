import { messageOf, UsageError } from '../../core/errors.ts';
import type { Random } from '../../plant/random.ts';
import { ControlError, type ControlClient } from '../../telemetry/control-client.ts';
import type { DaemonTotals } from '../../telemetry/daemon-totals.ts';
import { blockBetween, type Arm, type Block } from './block.ts';

export interface MeasureOptions {
  readonly daemon: Pick<ControlClient, 'totals' | 'pause' | 'resume'>;
  /** What its pauses are known by, so that no other is ended: unlike that of any other program. */
  readonly holder: string;
  readonly random: Random;
  /** Rejects when it is aborted. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** Each pair has a block of either arm, in random order. */
  readonly pairs: number;
  readonly blockMs: number;
  /** Of each block's beginning, left out: shorter than a block. */
  readonly warmupMs: number;
  /** Measure this service alone; absent: all. */
  readonly service?: string;
  /** Ends it early, with what has been measured until then. */
  readonly signal: AbortSignal;
  readonly onBlock?: (block: Block, count: number) => void;
}

export interface BlockPair {
  readonly governed: Block;
  readonly full: Block;
}

export interface Measurement {
  /** Those that are whole. */
  readonly pairs: readonly BlockPair[];
  /** Why it ended before its time; null where it did not. */
  readonly ended: string | null;
  /** Why our pause could not be ended; null where it was, or the daemon has gone and put its controls back. */
  readonly notResumed: string | null;
}

/** A pause outlives its block by this much, and then ends by itself: whoever measures may be killed. */
const PAUSE_SLACK_MS = 10_000;
const RESUME_TRIES = 5;
const RESUME_PAUSE_MS = 1000;

/**
 * Lets a live daemon govern and pause (full speed) by turns, and takes down what either costs and gives. The load drifts;
 * two blocks next to each other see about the same of it, and their random order keeps a drift from favouring one arm.
 * Its own pause is ended in the end, whatever happens; where this process is killed that ends soon after its block. An
 * operator's stays.
 *
 * @throws UsageError where there is nothing to compare: the daemon is paused, in a dry run, or does not govern the service
 */
export async function measureSavings(options: MeasureOptions): Promise<Measurement> {
  const { daemon, pairs: wanted, service } = options;
  const start = await daemon.totals();
  refuse(start, service);
  const pairs: BlockPair[] = [];
  let ended: string | null = null;
  try {
    let count = 0;
    while (pairs.length < wanted) {
      const order: readonly Arm[] = options.random.nextUnit() < 0.5 ? ['governed', 'full'] : ['full', 'governed'];
      const blocks = new Map<Arm, Block>();
      for (const arm of order) {
        const block = await measureBlock(arm, start, options);
        blocks.set(arm, block);
        options.onBlock?.(block, (count += 1));
      }
      pairs.push({ governed: blocks.get('governed')!, full: blocks.get('full')! });
    }
  } catch (error) {
    ended = options.signal.aborted ? messageOf(options.signal.reason) : messageOf(error);
  }
  return { pairs, ended, notResumed: await resume(options) };
}

function refuse({ state, mode, services }: DaemonTotals, service: string | undefined): void {
  if (mode !== 'govern') {
    throw new UsageError('the daemon makes a dry run: it writes nothing, so that there is nothing to compare');
  }
  if (state !== 'governing') {
    throw new UsageError(`the daemon is ${state}, expected one that governs: see \`tailgov status\``);
  }
  const names = services.map(({ service: name }) => name);
  if (service !== undefined && !names.includes(service)) {
    throw new UsageError(`--service ${service}: not governed, expected one of ${names.join(', ')}`);
  }
}

async function measureBlock(arm: Arm, start: DaemonTotals, options: MeasureOptions): Promise<Block> {
  const { daemon, holder, sleep, signal, blockMs, warmupMs, service } = options;
  signal.throwIfAborted();
  await (arm === 'full' ? daemon.pause(blockMs + PAUSE_SLACK_MS, holder) : daemon.resume(holder));
  await sleep(warmupMs, signal);
  const before = await undisturbed();
  await sleep(blockMs - warmupMs, signal);
  const block = blockBetween(arm, before, await undisturbed());
  return service === undefined
    ? block
    : { ...block, services: block.services.filter(({ service: name }) => name === service) };

  async function undisturbed(): Promise<DaemonTotals> {
    const totals = await daemon.totals();
    const expected = arm === 'full' ? 'paused' : 'governing';
    if (totals.startedAt !== start.startedAt) throw new Error('the daemon was started anew meanwhile');
    if (totals.state === expected) return totals;
    throw new Error(`the daemon was to be ${expected} and is ${totals.state}: somebody else has paused or resumed it`);
  }
}

/** Not to be aborted. */
async function resume({ daemon, holder, sleep }: MeasureOptions): Promise<string | null> {
  for (let tries = 1; ; tries++) {
    try {
      await daemon.resume(holder);
      return null;
    } catch (error) {
      if (error instanceof ControlError && error.code === 'not-running') return null;
      if (tries === RESUME_TRIES) return messageOf(error);
    }
    await sleep(RESUME_PAUSE_MS);
  }
}
