/** How much of the full counts is tried: 0 in everyday tests, 1 under `npm run torture`, or what its `--share` says. */
export const SHARE = Number(process.env['TAILGOV_TORTURE'] ?? 0);

/** @param least in everyday tests */
export const tries = (least: number, full: number): number => Math.max(least, Math.round(full * SHARE));

/** Time enough for so many tries on a machine that is busy with something else. */
export const patienceMs = (count: number, eachMs: number): number => 30_000 + 10 * count * eachMs;

/** Shows what was tried, for the table in docs/reliability.md; silent in everyday tests. */
export function figure(attack: string, what: Readonly<Record<string, number | string>>): void {
  if (SHARE > 0) process.stdout.write(`torture: ${JSON.stringify({ attack, ...what })}\n`);
}

/** Another seed for each run under `npm run torture`, shown beside the figures; a fixed one in everyday tests. */
export const SEED = Number(process.env['TAILGOV_TORTURE_SEED'] ?? 1);

/** xorshift32: numbers in [0, 1) that a seed repeats. */
export function random(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
