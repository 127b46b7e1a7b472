import type { ControllerInput, Level, Observation } from '../core/controller.ts';

/** The requests seen since the level came to rest where it is. */
export interface HeldEvidence {
  readonly level: Level;
  readonly requests: number;
  readonly overSlo: number;
  readonly forMs: number;
}

/** Levels within this share of each other are the same operating point. */
const SAME_LEVEL = 0.06;
/** What is older says little about now: counts from further back fade. */
export const LONGEST_MEMORY_MS = 300_000;

export const noEvidence: HeldEvidence = { level: 0, requests: 0, overSlo: 0, forMs: 0 };

/** Adds the last tick's requests while the level rests, and starts anew when it has moved. */
export function holdEvidence(
  before: HeldEvidence,
  { observation, appliedLevel, elapsedMs }: ControllerInput,
): HeldEvidence {
  if (Math.abs(appliedLevel - before.level) > SAME_LEVEL * appliedLevel) return { ...noEvidence, level: appliedLevel };
  const fade = before.forMs > LONGEST_MEMORY_MS ? Math.exp(-elapsedMs / LONGEST_MEMORY_MS) : 1;
  return {
    level: before.level,
    requests: before.requests * fade + observation.latest.requests,
    overSlo: before.overSlo * fade + observation.latest.overSlo,
    forMs: before.forMs + elapsedMs,
  };
}

/**
 * The observation with the counts of all that was seen at this level, where that is more than its window holds: at 5
 * requests a second a window holds fifty, which prove little; five minutes at one level hold enough for a p99.
 */
export function withEvidence(observation: Observation, held: HeldEvidence): Observation {
  if (held.requests <= observation.requests) return observation;
  return { ...observation, requests: Math.floor(held.requests), overSlo: Math.ceil(held.overSlo) };
}
