import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCron, ruleInForce, scheduleCursor } from '../../src/policy/schedule.ts';
import { wallClock } from '../../src/policy/wall-clock.ts';

const at = (iso: string) => Date.parse(iso);
const iso = (ms: number) => new Date(ms).toISOString();
const HOUR_MS = 3_600_000;
const QUARTER_MS = HOUR_MS / 4;

/** What a wall in the zone shows every quarter of an hour, as text: `2026-03-29 03:30`. */
function watch(timeZone: string, fromMs: number, toMs: number) {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  const count = (toMs - fromMs) / QUARTER_MS + 1;
  return Array.from({ length: count }, (_, index) => fromMs + index * QUARTER_MS).map((ms) => ({
    ms,
    shown: format.format(ms),
  }));
}

/** When a daily `hour:minute` has come to pass, for one who watches the wall; what the wall leaves out has passed then, too. */
function watchedFirings(seen: ReturnType<typeof watch>, clockTime: string): number[] {
  let latest = seen[0]!.shown;
  return seen.flatMap(({ ms, shown }) => {
    if (shown <= latest) return [];
    const days = [...new Set([latest.slice(0, 10), shown.slice(0, 10)])];
    const passed = days.filter((day) => `${day} ${clockTime}` > latest && `${day} ${clockTime}` <= shown);
    latest = shown;
    return passed.map(() => ms);
  });
}

function firings(cron: string, timeZone: string, fromMs: number, toMs: number): number[] {
  const { next } = parseCron(cron, timeZone);
  const found: number[] = [];
  for (let ms = next(fromMs); ms <= toMs; ms = next(ms)) found.push(ms);
  return found;
}

describe('parseCron()', () => {
  it('fires by the clock of its zone, summer and winter', () => {
    const { next } = parseCron('0 22 * * *', 'Europe/Berlin');
    expect(iso(next(at('2026-01-15T12:00:00Z')))).toBe('2026-01-15T21:00:00.000Z');
    expect(iso(next(at('2026-07-15T12:00:00Z')))).toBe('2026-07-15T20:00:00.000Z');
  });

  it('fires at the jump where the clock is put forward over its time', () => {
    const { next, latest } = parseCron('30 2 * * *', 'Europe/Berlin');
    expect(iso(next(at('2026-03-28T12:00:00Z')))).toBe('2026-03-29T01:00:00.000Z');
    expect(iso(latest(at('2026-03-29T12:00:00Z')))).toBe('2026-03-29T01:00:00.000Z');
    expect(iso(next(at('2026-03-29T01:00:00Z')))).toBe('2026-03-30T00:30:00.000Z');
  });

  it('fires once where the clock is put back and shows its time twice', () => {
    const { next, latest } = parseCron('30 2 * * *', 'Europe/Berlin');
    expect(iso(next(at('2026-10-24T12:00:00Z')))).toBe('2026-10-25T00:30:00.000Z');
    expect(iso(next(at('2026-10-25T00:30:00Z')))).toBe('2026-10-26T01:30:00.000Z');
    // 02:45 for the second time.
    expect(iso(latest(at('2026-10-25T01:45:00Z')))).toBe('2026-10-25T00:30:00.000Z');
    expect(iso(next(at('2026-10-25T01:15:00Z')))).toBe('2026-10-26T01:30:00.000Z');
  });

  it.each([
    ['Europe/Berlin', 'an hour, north', '2026-03-27', '2026-10-23'],
    ['America/New_York', 'an hour, west', '2026-03-06', '2026-10-30'],
    ['Australia/Sydney', 'an hour, south', '2026-10-02', '2026-04-03'],
    ['Australia/Lord_Howe', 'half an hour', '2026-10-02', '2026-04-03'],
    ['America/St_Johns', 'beside whole hours', '2026-03-06', '2026-10-30'],
    ['Africa/Casablanca', 'back in Ramadan', '2026-02-13', '2026-03-20'],
    ['Asia/Kolkata', 'never', '2026-03-27', '2026-10-23'],
    ['UTC', 'never', '2026-03-27', '2026-10-23'],
  ])('agrees with a watcher of the wall in %s, which jumps by %s', (zone, _why, ...spans) => {
    for (const start of spans.map((day) => at(`${day}T00:00:00Z`))) {
      const end = start + 5 * 24 * HOUR_MS;
      const seen = watch(zone, start, end);
      for (const time of ['00:00', '01:30', '01:45', '02:00', '02:15', '02:30', '03:00', '12:00']) {
        const [hour, minute] = time.split(':').map(Number);
        const expected = watchedFirings(seen, time);
        expect(firings(`${minute} ${hour} * * *`, zone, start, end), `${zone} ${time}`).toEqual(expected);
      }
    }
  });

  it('passes over a day that a zone leaves out', () => {
    // Samoa crossed the date line: no 30 December 2011.
    expect(
      firings('0 12 * * *', 'Pacific/Apia', at('2011-12-29T00:00:00Z'), at('2012-01-01T00:00:00Z')).map(iso),
    ).toEqual([
      '2011-12-29T22:00:00.000Z',
      '2011-12-30T10:00:00.000Z',
      '2011-12-30T22:00:00.000Z',
      '2011-12-31T22:00:00.000Z',
    ]);
  });

  it('looks back and ahead as far as it must: a leap day, a year, a second', () => {
    const now = at('2027-06-01T12:00:00Z');
    const leap = parseCron('0 0 29 2 *', 'UTC');
    expect([iso(leap.latest(now)), iso(leap.next(now))]).toEqual([
      '2024-02-29T00:00:00.000Z',
      '2028-02-29T00:00:00.000Z',
    ]);
    const yearly = parseCron('@yearly', 'UTC');
    expect(iso(yearly.latest(now))).toBe('2027-01-01T00:00:00.000Z');
    const secondly = parseCron('* * * * * *', 'UTC');
    expect(secondly.latest(now + 700)).toBe(now);
    expect(secondly.next(now + 700)).toBe(now + 1000);
  });

  it('has fired at the very moment, not before', () => {
    const { latest, next } = parseCron('0 6 * * 1-5', 'UTC');
    const monday = at('2026-11-23T06:00:00Z');
    expect(latest(monday)).toBe(monday);
    expect(next(monday - 1)).toBe(monday);
    expect(iso(latest(monday - 1))).toBe('2026-11-20T06:00:00.000Z');
  });

  it.each(['1970-01-02T00:00:00Z', '2026-11-22T10:00:00Z', '2090-05-05T05:05:05Z', '2512-12-31T23:59:59Z'])(
    'knows simulated times as it knows the present: %s',
    (time) => {
      const { latest, next } = parseCron('15 3 * * *', 'UTC');
      const day = at(`${time.slice(0, 10)}T03:15:00Z`);
      const past = at(time) >= day ? day : day - 24 * HOUR_MS;
      expect(iso(latest(at(time)))).toBe(iso(past));
      expect(iso(next(at(time)))).toBe(iso(past + 24 * HOUR_MS));
    },
  );

  it('finds no firing between the latest and the next', () => {
    const field = (least: number, most: number) =>
      fc.oneof(
        fc.constant('*'),
        fc.integer({ min: least, max: most }).map(String),
        fc.integer({ min: 2, max: 20 }).map((step) => `*/${step}`),
      );
    const cron = fc
      .tuple(field(0, 59), field(0, 23), field(1, 28), field(1, 12), fc.constantFrom('*', '1-5', '0'))
      .map((fields) => fields.join(' '));
    const zones = fc.constantFrom('Europe/Berlin', 'Australia/Lord_Howe', 'America/Sao_Paulo', 'UTC');
    const times = fc.integer({ min: at('2015-01-01T00:00:00Z'), max: at('2031-01-01T00:00:00Z') });
    fc.assert(
      fc.property(cron, zones, times, (expression, zone, now) => {
        const { latest, next } = parseCron(expression, zone);
        const [before, after] = [latest(now), next(now)];
        expect(before).toBeLessThanOrEqual(now);
        expect(after).toBeGreaterThan(now);
        expect(next(before)).toBe(after);
        expect(latest(after)).toBe(after);
        expect(latest(after - 1)).toBe(before);
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    ['61 * * * *', 'out of range'],
    ['0 0 * *', 'Too few fields'],
    ['0 0 30 2 *', 'no day matches it within eight years'],
    ['soon', 'Unknown alias'],
  ])('refuses %s', (cron, why) => {
    expect(() => parseCron(cron, 'UTC')).toThrow(why);
  });
});

describe('ruleInForce()', () => {
  const rules = [parseCron('0 22 * * *', 'UTC'), parseCron('0 6 * * *', 'UTC')];

  it('is the rule that fired last, found by looking back, and what comes next', () => {
    expect(ruleInForce(rules, at('2026-05-05T23:00:00Z'))).toEqual({
      index: 0,
      sinceMs: at('2026-05-05T22:00:00Z'),
      next: { index: 1, atMs: at('2026-05-06T06:00:00Z') },
    });
    expect(ruleInForce(rules, at('2026-05-06T06:00:00Z'))).toMatchObject({ index: 1, next: { index: 0 } });
  });

  it('is the later one of two that fire together', () => {
    const together = [parseCron('0 0 * * *', 'UTC'), parseCron('0 0 1 * *', 'UTC')];
    expect(ruleInForce(together, at('2026-05-01T12:00:00Z')).index).toBe(1);
    expect(ruleInForce(together, at('2026-05-02T12:00:00Z')).index).toBe(0);
    expect(ruleInForce(together, at('2026-05-31T12:00:00Z')).next!.index).toBe(1);
  });

  it('is none where there is none', () => {
    expect(ruleInForce([], 0)).toMatchObject({ index: null, next: null });
  });
});

describe('scheduleCursor()', () => {
  it('answers as ruleInForce() does, whichever way the clock goes', () => {
    const rules = ['0 22 * * *', '30 2 * * *', '*/45 9-17 * * 1-5'].map((cron) => parseCron(cron, 'Europe/Berlin'));
    const steps = fc.array(
      fc.oneof(fc.integer({ min: 0, max: HOUR_MS }), fc.integer({ min: -48 * HOUR_MS, max: 96 * HOUR_MS })),
      { minLength: 1, maxLength: 12 },
    );
    fc.assert(
      fc.property(fc.constantFrom('2026-03-28T20:00:00Z', '2026-10-24T22:00:00Z'), steps, (start, jumps) => {
        const cursor = scheduleCursor(rules);
        let now = at(start);
        for (const jump of [0, ...jumps]) {
          now += jump;
          expect(cursor(now)).toEqual(ruleInForce(rules, now));
        }
      }),
      { numRuns: 10 },
    );
  });

  it('gives the same object until something fires', () => {
    const cursor = scheduleCursor([parseCron('0 22 * * *', 'UTC')]);
    const first = cursor(at('2026-05-05T12:00:00Z'));
    expect(cursor(at('2026-05-05T21:59:59Z'))).toBe(first);
    expect(cursor(at('2026-05-05T22:00:00Z'))).not.toBe(first);
  });
});

describe('wallClock()', () => {
  it('never shows an earlier latest time, and has shown a time first when that became the latest', () => {
    const zones = fc.constantFrom('Europe/Berlin', 'Australia/Lord_Howe', 'Pacific/Apia', 'Asia/Kolkata');
    const times = fc.integer({ min: at('2011-01-01T00:00:00Z'), max: at('2027-01-01T00:00:00Z') });
    fc.assert(
      fc.property(zones, times, fc.integer({ min: 0, max: 50 * HOUR_MS }), (zone, ms, later) => {
        const clock = wallClock(zone);
        expect(clock.latestShownMs(ms + later)).toBeGreaterThanOrEqual(clock.latestShownMs(ms));
        const shown = clock.latestShownMs(ms);
        expect(clock.firstShownMs(shown)).toBeLessThanOrEqual(ms);
        expect(clock.latestShownMs(clock.firstShownMs(shown))).toBeGreaterThanOrEqual(shown);
      }),
    );
  });

  it('refuses a zone that nobody knows', () => {
    expect(() => wallClock('Mars/Base')).toThrow(RangeError);
  });
});
