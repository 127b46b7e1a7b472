/** Twice as far as any zone has ever jumped, and no zone jumps twice within it. */
const JUMP_RANGE_MS = 48 * 3_600_000;

/**
 * A clock on a wall: what it shows is written as ms since the epoch as if the wall stood in UTC. It is put forward and back
 * with the zone's daylight-saving time.
 */
export interface WallClock {
  /** The latest time that it has shown until then: an hour that it shows for the second time adds nothing. */
  latestShownMs(wallMs: number): number;
  /** When it first showed this time or, where it leaves it out, a later one. */
  firstShownMs(shownMs: number): number;
}

/**
 * @param timeZone an IANA name; the machine's own zone where not given
 * @throws RangeError for a zone that is not known
 */
export function wallClock(timeZone: string | undefined): WallClock {
  const offsetMs = offsetsOf(timeZone);

  /** The moment in (fromMs, toMs] at which the offset stops being that of fromMs. */
  function jumpBetween(fromMs: number, toMs: number): number {
    const before = offsetMs(fromMs);
    let [low, high] = [fromMs, toMs];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offsetMs(middle) === before) low = middle;
      else high = middle;
    }
    return high;
  }

  return {
    latestShownMs(wallMs) {
      const now = offsetMs(wallMs);
      const before = offsetMs(wallMs - JUMP_RANGE_MS);
      const shownMs = wallMs + now;
      if (before <= now) return shownMs;
      const jumpMs = jumpBetween(wallMs - JUMP_RANGE_MS, wallMs);
      // At the jump itself the clock already shows the earlier time.
      return Math.max(shownMs, jumpMs - 1 + before);
    },
    firstShownMs(shownMs) {
      const before = offsetMs(shownMs - JUMP_RANGE_MS);
      const after = offsetMs(shownMs + JUMP_RANGE_MS);
      const candidate = shownMs - before;
      if (before === after || offsetMs(candidate) === before) return candidate;
      // Put back: shown once, after the jump. Put forward: the same, or left out and shown at the jump.
      const later = shownMs - after;
      return offsetMs(later) === after ? later : jumpBetween(shownMs - JUMP_RANGE_MS, shownMs + JUMP_RANGE_MS);
    },
  };
}

/** By how much the wall is ahead of UTC at a moment. */
function offsetsOf(timeZone: string | undefined): (wallMs: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  return (wallMs) => {
    const second = Math.floor(wallMs / 1000) * 1000;
    const shown: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
    for (const { type, value } of format.formatToParts(second)) shown[type] = Number(value);
    const { year, month, day, hour, minute, second: seconds } = shown;
    return Date.UTC(year!, month! - 1, day, hour, minute, seconds) - second;
  };
}
