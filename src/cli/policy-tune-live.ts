import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { UsageError } from '../core/errors.ts';
import { formatNs, formatPercent, NS_PER_MS } from '../core/units.ts';
import { type LiveTried, type LiveTuning, tuneLive } from '../study/tune-live.ts';
import type { Parameters, TunedParameter } from '../study/tune-policy.ts';
import { controlClient, ControlError } from '../telemetry/control-client.ts';
import { packageVersion } from './package-root.ts';
import { controlSocketIn } from './runtime-directory.ts';
import { describedPolicy, refuseOverwriting, tunablePolicy } from './tunable-policy.ts';
import { untilEnded } from './until-ended.ts';

export interface TuneLiveOptions {
  readonly live: string;
  readonly bounds?: readonly string[];
  /** In ms. */
  readonly block: number;
  readonly warmup: number;
  readonly limit: number;
  readonly runtime: string;
  readonly output: string;
  readonly force?: true;
}

const EXIT_INTERRUPTED = 130;

/** Searches on the live service, with the policy that governs it as the start and the end. */
export async function tunePolicyLive(options: TuneLiveOptions): Promise<void> {
  const { live: service, block: blockMs, warmup: warmupMs, limit, output } = options;
  if (warmupMs >= blockMs) {
    throw new UsageError(`--warmup ${warmupMs / 1000}s: expected less than a block (--block ${blockMs / 1000}s)`);
  }
  refuseOverwriting(options);
  const daemon = controlClient(controlSocketIn(options.runtime));
  const { policies } = (await daemon.status()).changes;
  const original = policies.find((policy) => policy.service === service)?.file;
  if (original === undefined) {
    const names = policies.map((policy) => policy.service).join(', ');
    throw new UsageError(`--live ${service}: not governed, expected one of ${names}`);
  }
  const { start, searched, textOf } = tunablePolicy(original, original);
  const bounded = boundedBy(options.bounds ?? [], searched, start);

  const directory = mkdtempSync(join(tmpdir(), 'tailgov-tune-'));
  try {
    const candidates = 1 + bounded.reduce((sum, { values }) => sum + values.length, 0);
    const longest = formatNs((2 * candidates - 1) * blockMs * NS_PER_MS);
    process.stderr.write(`up to ${candidates} candidates in blocks of ${blockMs / 1000} s: at most ${longest}\n`);
    let written = 0;
    await untilEnded(async (ended) => {
      const tuning = await tuneLive({
        ...{ daemon, service, searched: bounded, start, original, blockMs, warmupMs, limit, signal: ended },
        write(parameters) {
          const file = join(directory, `candidate-${++written}.yaml`);
          writeFileSync(file, textOf(parameters), { mode: 0o600 });
          return file;
        },
        sleep: async (ms, signal) => void (await sleep(ms, undefined, signal === undefined ? {} : { signal })),
        onTried: (tried) => process.stderr.write(`${triedLine(tried, bounded)}\n`),
      });
      conclude(tuning, { ...options, original, start, textOf, output });
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Concluded extends TuneLiveOptions {
  readonly original: string;
  readonly start: Parameters;
  readonly textOf: (parameters: Parameters) => string;
}

/** @throws ControlError where the original policy does not govern again */
function conclude(tuning: LiveTuning, options: Concluded): void {
  const { original, start, output, live, block, limit, textOf } = options;
  if (tuning.notRestored !== null) {
    throw new ControlError(
      'refused',
      `${original} could not be swapped back: ${tuning.notRestored}; run \`tailgov policy swap ${live} ${original}\``,
    );
  }
  if (tuning.ended !== null) {
    const back = tuning.ended.startsWith('somebody else') ? '' : `, ${original} governs again`;
    process.stderr.write(`tailgov: given up: ${tuning.ended}${back}; no file was written\n`);
    process.exitCode = tuning.ended.startsWith('received') ? EXIT_INTERRUPTED : 1;
    return;
  }
  const best = tuning.tried[0]!;
  if (best.parameters === start || best.missedWindows > 0) {
    process.stdout.write(`Nothing within the bounds was better than ${original}, which governs again.\n`);
    return;
  }
  const words = [
    `Tuned by tailgov ${packageVersion()} on the live service ${live}, from ${original}: ${tuning.tried.length} candidates.`,
    `Each governed for ${block / 1000} s, after a block of the original policy, within ${(options.bounds ?? []).join(', ')}.`,
    `${formatPercent(1 - best.energyJ)} less power than the original in the block before, ${tuning.power.source}; the objective was kept in the block (limit: ${limit} times what it tolerates).`,
    'One block is little evidence: hold it against the original for longer, `tailgov measure`.',
  ];
  writeFileSync(output, describedPolicy(words, textOf(best.parameters)));
  process.stdout.write(`${words.join('\n')}\nWritten: ${resolve(output)}; ${original} governs again.\n`);
}

function triedLine(
  { parameters, energyJ, lateRatio, requests }: LiveTried,
  searched: readonly TunedParameter[],
): string {
  const values = searched.map(({ name }) => `${name} ${String(parameters[name])}`).join(', ');
  return `${values}: power × ${energyJ.toFixed(3)}, ${formatPercent(lateRatio, 2)} of ${requests} requests late`;
}

/**
 * What may be tried, from texts such as `setpoint=0.7..0.9`: both ends, and what a search in simulation would try in between.
 *
 * @throws UsageError for what cannot be searched, and where the policy itself is out of bounds
 */
export function boundedBy(
  texts: readonly string[],
  searched: readonly TunedParameter[],
  start: Parameters,
): readonly TunedParameter[] {
  const names = searched.map(({ name }) => name);
  if (texts.length === 0) {
    throw new UsageError(`--bounds: none given, expected one or more such as ${names[0]}=LEAST..MOST`);
  }
  return texts.map((text) => {
    const [, name, least, most] = /^(\w+)=(-?[\d.]+)\.\.(-?[\d.]+)$/.exec(text) ?? [];
    const [low, high] = [Number(least), Number(most)];
    if (name === undefined || !(low <= high)) {
      throw new UsageError(`--bounds ${text}: expected a parameter and its bounds such as ${names[0]}=0.7..0.9`);
    }
    const known = searched.find((parameter) => parameter.name === name);
    if (known === undefined) {
      throw new UsageError(`--bounds ${text}: ${name} is not searched, expected one of ${names.join(', ')}`);
    }
    const value = start[name];
    if (typeof value !== 'number' || value < low || value > high) {
      throw new UsageError(`--bounds ${text}: the policy has ${name} ${String(value)}, expected bounds around that`);
    }
    const inside = known.values.filter((each) => each > low && each < high);
    return { name, values: [...new Set([low, ...inside, high])] };
  });
}
