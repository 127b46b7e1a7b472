import type { Level } from '../core/controller.ts';

/** The levels of the recent past, newest last; equal neighbours are one entry. */
export type LevelHistory = readonly { readonly level: Level; readonly forMs: number }[];

/** No level is zero, and nothing divides by one. */
const LOWEST_LEVEL = 0.001;
/** A history has no more entries than this: a level that never rests is merged with its neighbour. */
const MOST_ENTRIES = 64;

/** Adds the level of the last `forMs`, and forgets what is older than `reachMs`. */
export function remember(history: LevelHistory, level: Level, forMs: number, reachMs: number): LevelHistory {
  const newest = history.at(-1);
  const merges = newest !== undefined && (newest.level === level || history.length >= MOST_ENTRIES);
  const merged = merges
    ? [...history.slice(0, -1), { level: meanOf(newest, { level, forMs }), forMs: newest.forMs + forMs }]
    : [...history, { level, forMs }];
  let reach = 0;
  let first = merged.length;
  while (first > 0 && reach < reachMs) reach += merged[--first]!.forMs;
  return first === 0 ? merged : merged.slice(first);
}

/**
 * The level that, held all the time, would have made requests as slow on average as they were: the harmonic mean. A
 * window of latencies that reaches back over a change of the level belongs to this one.
 */
export function meanLevel(history: LevelHistory, otherwise: Level): Level {
  let ms = 0;
  let slowness = 0;
  for (const { level, forMs } of history) {
    ms += forMs;
    slowness += forMs / Math.max(LOWEST_LEVEL, level);
  }
  return slowness > 0 ? ms / slowness : otherwise;
}

function meanOf(a: LevelHistory[number], b: LevelHistory[number]): Level {
  if (a.level === b.level) return a.level;
  return (a.level * a.forMs + b.level * b.forMs) / Math.max(Number.MIN_VALUE, a.forMs + b.forMs);
}
