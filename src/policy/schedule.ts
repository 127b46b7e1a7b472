import { CronTime } from 'cron';
import { wallClock } from './wall-clock.ts';

/** When a rule fires: as a clock on the wall of its time zone shows it. All times are ms since the epoch. */
export interface Firing {
  /** The last firing at or before the time. */
  readonly latest: (wallMs: number) => number;
  /** The first firing after the time. */
  readonly next: (wallMs: number) => number;
}

export interface RuleInForce {
  /** The rule that fired last, its index; null where there is no rule. Of several at one time the last one counts. */
  readonly index: number | null;
  readonly sinceMs: number;
  /** What fires next; null where there is no rule. */
  readonly next: { readonly index: number; readonly atMs: number } | null;
}

/**
 * Firings are found on a calendar without time zones and then set on the wall's clock, which jumps twice a year in many
 * zones: a time that it leaves out fires at the jump; a time that it shows twice fires the first time.
 *
 * @param cron five fields, or six with seconds first, or a preset such as `@daily`
 * @param timeZone such as `Europe/Berlin`; the machine's own where not given
 * @throws Error that says what is wrong with the expression or the zone; or that it never fires
 */
export function parseCron(cron: string, timeZone: string | undefined): Firing {
  const clock = wallClock(timeZone);
  const calendar = new CronTime(cron, 'UTC');
  try {
    nextOnCalendar(calendar, CALENDAR_START_MS);
  } catch (cause) {
    throw new Error('no day matches it within eight years', { cause });
  }
  return {
    latest: (wallMs) => clock.firstShownMs(latestOnCalendar(calendar, clock.latestShownMs(wallMs))),
    next: (wallMs) => clock.firstShownMs(nextOnCalendar(calendar, clock.latestShownMs(wallMs))),
  };
}

/** What is in force at a time. Looks back as far as it needs to, over eight years at the most. */
export function ruleInForce(rules: readonly Firing[], wallMs: number): RuleInForce {
  return inForceOf(rules.map((rule) => ({ latestMs: rule.latest(wallMs), nextMs: rule.next(wallMs) })));
}

/**
 * The same answers as `ruleInForce`, for times that are asked for one after the other: nothing is looked up while nothing
 * changes, and the same object is returned. Looking back is dear, so that a firing is taken from the look ahead; a clock that
 * was set back, or far ahead, is looked up anew.
 */
export function scheduleCursor(rules: readonly Firing[]): (wallMs: number) => RuleInForce {
  let places: readonly Place[] | undefined;
  let inForce: RuleInForce;
  return (wallMs) => {
    const known = places;
    if (known === undefined || wallMs < inForce.sinceMs || known.some(({ nextMs }) => wallMs >= nextMs)) {
      places = rules.map((rule, index) => {
        const place = known?.[index];
        return advanced(rule, place, wallMs) ?? { latestMs: rule.latest(wallMs), nextMs: rule.next(wallMs) };
      });
      inForce = inForceOf(places);
    }
    return inForce!;
  };
}

/** Around a time: when a rule fired, and when it will. */
interface Place {
  readonly latestMs: number;
  readonly nextMs: number;
}

function advanced(rule: Firing, place: Place | undefined, wallMs: number): Place | undefined {
  if (place === undefined || wallMs < place.latestMs) return undefined;
  if (wallMs < place.nextMs) return place;
  const nextMs = rule.next(place.nextMs);
  return wallMs < nextMs ? { latestMs: place.nextMs, nextMs } : undefined;
}

function inForceOf(places: readonly Place[]): RuleInForce {
  let index: number | null = null;
  let sinceMs = -Infinity;
  let next: RuleInForce['next'] = null;
  places.forEach(({ latestMs, nextMs }, rule) => {
    if (latestMs >= sinceMs) [index, sinceMs] = [rule, latestMs];
    if (next === null || nextMs <= next.atMs) next = { index: rule, atMs: nextMs };
  });
  return { index, sinceMs, next };
}

/*
 * The calendar: times as a clock shows them, written as if they were UTC, so that no jump is in them.
 */

/** After 400 years the Gregorian calendar repeats itself, week days included. */
const CALENDAR_CYCLE_MS = 146_097 * 86_400_000;
const CALENDAR_START_MS = Date.UTC(2025, 0, 1);
const LONGEST_LOOK_BACK_MS = 9 * 366 * 86_400_000;

/**
 * The package looks no further than eight years after today, whatever time it is asked about. So later times are asked about
 * as they were a cycle ago.
 */
function nextOnCalendar(calendar: CronTime, shownMs: number): number {
  const cycles = Math.max(0, Math.ceil((shownMs - CALENDAR_START_MS) / CALENDAR_CYCLE_MS));
  const shiftMs = cycles * CALENDAR_CYCLE_MS;
  return calendar.getNextDateFrom(new Date(shownMs - shiftMs), 'UTC').toMillis() + shiftMs;
}

/** Looks back this many times as far as the time before. */
const LOOK_BACK_FACTOR = 4;

/** The package cannot look back: looks ahead from ever further back, then nears the last firing by halves. */
function latestOnCalendar(calendar: CronTime, shownMs: number): number {
  let upperMs = shownMs;
  let backMs = 1000;
  let latestMs = nextOnCalendar(calendar, shownMs - backMs);
  while (latestMs > shownMs) {
    if (backMs > LONGEST_LOOK_BACK_MS) throw new Error(`find when ${String(calendar.source)} fired: never in 9 years`);
    upperMs = shownMs - backMs;
    backMs *= LOOK_BACK_FACTOR;
    latestMs = nextOnCalendar(calendar, shownMs - backMs);
  }
  // Nothing fires in (upperMs, shownMs], and seldom more than a few times before that.
  for (;;) {
    const followingMs = nextOnCalendar(calendar, latestMs);
    if (followingMs > shownMs) return latestMs;
    latestMs = followingMs;
    const middleMs = latestMs + Math.max(0, upperMs - latestMs) / 2;
    const foundMs = nextOnCalendar(calendar, middleMs);
    if (foundMs <= shownMs) latestMs = foundMs;
    else upperMs = middleMs;
  }
}
