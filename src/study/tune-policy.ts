import type { SweepOutcome } from './sweep/sweep-task.ts';

/** A parameter that is searched: its values from cautious to saving, the middle of them near the default. */
export interface TunedParameter {
  readonly name: string;
  readonly values: readonly number[];
}

/** What is worth searching, by controller: few parameters, each with a few values on both sides of the default. */
export const tunable: Readonly<Record<string, readonly TunedParameter[]>> = {
  pid: [
    { name: 'setpoint', values: [0.5, 0.6, 0.7, 0.8, 0.87, 0.93] },
    { name: 'slewDown', values: [0.05, 0.15, 0.4] },
    { name: 'ki', values: [0.1, 0.3, 0.6] },
    { name: 'kp', values: [0.1, 0.2, 0.4] },
    { name: 'deadband', values: [0.02, 0.06] },
  ],
  threshold: [
    { name: 'under', values: [0.6, 0.7, 0.85, 0.93] },
    { name: 'downStep', values: [0.015, 0.03, 0.06] },
    { name: 'upStep', values: [0.1, 0.25, 0.5] },
    { name: 'bigDownStep', values: [0.04, 0.08, 0.16] },
  ],
  model: [
    { name: 'budget', values: [0.35, 0.5, 0.65, 0.8, 0.95] },
    { name: 'deadband', values: [0.02, 0.05] },
    { name: 'learning', values: [0.5, 1, 2] },
  ],
};

export type Parameters = Readonly<Record<string, unknown>>;

/** What a candidate did on all workloads, traces and seeds together. */
export interface Score {
  readonly energyJ: number;
  readonly windows: number;
  readonly missedWindows: number;
}

export interface Tried extends Score {
  readonly parameters: Parameters;
}

export function scoreOf(outcomes: readonly SweepOutcome[]): Score {
  const runs = outcomes.flatMap((outcome) => (outcome.kind === 'run' ? [outcome] : []));
  const sum = (value: (run: (typeof runs)[number]) => number) => runs.reduce((total, run) => total + value(run), 0);
  return {
    energyJ: sum(({ energyJ }) => energyJ),
    windows: sum(({ windows }) => windows),
    missedWindows: sum(({ missedWindows }) => missedWindows),
  };
}

/** Fewer missed windows first, then less energy. */
export const isBetter = (a: Score, b: Score): boolean =>
  a.missedWindows < b.missedWindows || (a.missedWindows === b.missedWindows && a.energyJ < b.energyJ);

const MOST_ROUNDS = 3;

/**
 * Searches parameter by parameter: all values of one with the others as they are, the best stays, and around again until
 * a round brings nothing. It finds a point that no single parameter can improve, not surely the best of all.
 *
 * @param evaluate scores candidates in their order; undefined, or no score at all, where it was stopped
 * @returns all that was scored, the best first
 */
export async function tuneParameters(
  parameters: readonly TunedParameter[],
  start: Parameters,
  evaluate: (candidates: readonly Parameters[]) => Promise<readonly (Score | undefined)[]>,
  rounds: number = MOST_ROUNDS,
): Promise<readonly Tried[]> {
  const tried: Tried[] = [];
  const seen = new Set<string>();
  const tryAll = async (candidates: readonly Parameters[]) => {
    const fresh = candidates.filter((candidate) => !seen.has(JSON.stringify(candidate)));
    for (const candidate of fresh) seen.add(JSON.stringify(candidate));
    const scores = await evaluate(fresh);
    fresh.forEach((candidate, index) => {
      const score = scores[index];
      if (score !== undefined) tried.push({ parameters: candidate, ...score });
    });
    tried.sort((a, b) => (isBetter(a, b) ? -1 : isBetter(b, a) ? 1 : 0));
  };
  await tryAll([start]);
  for (let round = 0; round < rounds; round++) {
    const before = tried[0];
    for (const { name, values } of parameters) {
      const best = tried[0];
      if (best === undefined) return tried;
      await tryAll(values.map((value) => ({ ...best.parameters, [name]: value })));
    }
    if (tried[0] === before) break;
  }
  return tried;
}
