import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Histogram } from '../../../src/core/histogram.ts';
import { NS_PER_MS } from '../../../src/core/units.ts';
import { Random } from '../../../src/plant/random.ts';
import { measureSavings, type MeasureOptions } from '../../../src/study/measure/measure-savings.ts';
import { savingsLines, savingsReport } from '../../../src/study/measure/savings-report.ts';
import { ControlError } from '../../../src/telemetry/control-client.ts';
import type { DaemonTotals } from '../../../src/telemetry/daemon-totals.ts';
import { SLO } from '../../loop/support.ts';

const BLOCK_MS = 10_000;
const WARMUP_MS = 4_000;

/** A daemon in simulated time: full speed draws 40 W and answers in 1 ms, governed 30 W and 3 ms, after 4 s of full speed. */
function fakeDaemon() {
  let nowMs = 0;
  let joules = 0;
  let since = 0;
  const holders = new Set<string>();
  const calls: string[] = [];
  const latency = new Histogram();
  const totals: { -readonly [K in keyof DaemonTotals]: DaemonTotals[K] } = {
    startedAt: 'today',
    state: 'governing',
    mode: 'govern',
    atMs: 0,
    energy: null,
    services: [],
  };
  const pass = (ms: number) => {
    for (let left = ms; left > 0; left -= 100) {
      nowMs += 100;
      // Whatever was set last needs a while to settle.
      const full = holders.size > 0 || nowMs - since <= WARMUP_MS;
      joules += full ? 4 : 3;
      latency.record((full ? 1 : 3) * NS_PER_MS);
    }
  };
  const set = (to: boolean, by = 'operator') => {
    calls.push(to ? 'pause' : 'resume');
    const before = holders.size > 0;
    if (to) holders.add(by);
    else holders.delete(by);
    if (holders.size > 0 !== before) since = nowMs;
    totals.state = holders.size > 0 ? 'paused' : 'governing';
    return Promise.resolve({} as never);
  };
  return {
    calls,
    totals,
    isPaused: () => holders.size > 0,
    operatorPauses: () => void set(true),
    daemon: {
      pause: (_forMs?: number, by?: string) => set(true, by),
      resume: (by?: string) => set(false, by),
      totals: () =>
        Promise.resolve({
          ...totals,
          atMs: nowMs,
          energy: { joules, atMs: nowMs, origin: { source: 'measured', zones: ['package-0'] } as const },
          services: ['web', 'db'].map((service) => ({
            service,
            slo: SLO,
            requests: latency.count,
            overSlo: 0,
            latency: { inUse: latency.inUse, sumNs: latency.sumNs },
          })),
        }),
    },
    sleep: (ms: number) => {
      pass(ms);
      return Promise.resolve();
    },
  };
}

const optionsFor = (fake: ReturnType<typeof fakeDaemon>, others: Partial<MeasureOptions> = {}): MeasureOptions => ({
  daemon: fake.daemon,
  holder: 'measure-1',
  random: new Random(1, 'test'),
  sleep: fake.sleep,
  pairs: 6,
  blockMs: BLOCK_MS,
  warmupMs: WARMUP_MS,
  signal: new AbortController().signal,
  ...others,
});
const LENGTHS = { blockMs: BLOCK_MS, warmupMs: WARMUP_MS };

describe('measureSavings()', () => {
  it('finds what governing saves and costs, in pairs of either order, and leaves out the warm-up', async () => {
    const fake = fakeDaemon();
    const measurement = await measureSavings(optionsFor(fake));
    expect(measurement).toMatchObject({ ended: null, notResumed: null });
    const pairs = fake.calls.slice(0, 12).map((_, i, all) =>
      i % 2 === 0
        ? all
            .slice(i, i + 2)
            .sort()
            .join()
        : '',
    );
    expect(pairs.filter((pair) => pair !== '')).toEqual(Array.from({ length: 6 }, () => 'pause,resume'));
    expect(new Set(fake.calls.slice(0, 12).filter((_, i) => i % 2 === 0)).size).toBe(2);
    expect(fake.isPaused()).toBe(false);

    const report = savingsReport(measurement, LENGTHS);
    expect(report.power!.origin).toEqual({ source: 'measured', zones: ['package-0'] });
    expect(report.power!.watts.governed).toEqual({ mean: 30, plusMinus: 0 });
    expect(report.power!.watts.full).toEqual({ mean: 40, plusMinus: 0 });
    expect(report.power!.watts.change!.mean).toBeCloseTo(-0.25, 9);
    const [web] = report.services;
    expect(web!.p99Ms!.difference.mean).toBeCloseTo(2, 0);
    expect(web!.throughputRps!.full.mean).toBeCloseTo(10, 9);
    expect(savingsLines(report).join('\n')).toMatch(/power is measured \(package-0\)[^]*30\.0 W ± 0\.0 W.*-25\.00 %/);
  });

  it('measures one service where it is told to, and refuses one that is not governed', async () => {
    const { pairs } = await measureSavings(optionsFor(fakeDaemon(), { service: 'db', pairs: 1 }));
    expect(pairs[0]!.full.services.map(({ service }) => service)).toEqual(['db']);
    const fake = fakeDaemon();
    await expect(measureSavings(optionsFor(fake, { service: 'x' }))).rejects.toThrow(/expected one of web, db/);
    expect(fake.calls).toEqual([]);
  });

  it('touches no daemon that an operator has paused, nor one in a dry run', async () => {
    const paused = fakeDaemon();
    paused.totals.state = 'paused';
    await expect(measureSavings(optionsFor(paused))).rejects.toThrow(/is paused, expected one that governs/);
    const dry = fakeDaemon();
    dry.totals.mode = 'dry-run';
    await expect(measureSavings(optionsFor(dry))).rejects.toThrow(/dry run/);
    expect([paused.calls, dry.calls]).toEqual([[], []]);
  });

  it('gives what it has and resumes, wherever it is ended', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(12), fc.integer(), async (sleeps, seed) => {
        const fake = fakeDaemon();
        const ending = new AbortController();
        let left = sleeps;
        const sleep = (ms: number, signal?: AbortSignal) => {
          if (left-- === 0) ending.abort(new Error('enough'));
          if (signal?.aborted === true) return Promise.reject(new Error('aborted'));
          return fake.sleep(ms);
        };
        const options = { sleep, signal: ending.signal, pairs: 3, random: new Random(seed, 'test') };
        const measurement = await measureSavings(optionsFor(fake, options));
        // A pair takes four sleeps.
        expect(measurement.pairs).toHaveLength(Math.min(3, Math.floor(sleeps / 4)));
        expect(measurement.ended).toBe(sleeps < 12 ? 'enough' : null);
        expect(fake.isPaused()).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it('leaves an operator’s pause in force, whichever block it comes in', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(11), fc.integer(), async (sleeps, seed) => {
        const fake = fakeDaemon();
        let left = sleeps;
        const sleep = (ms: number) => {
          if (left-- === 0) fake.operatorPauses();
          return fake.sleep(ms);
        };
        const measurement = await measureSavings(
          optionsFor(fake, { sleep, pairs: 3, random: new Random(seed, 'test') }),
        );
        expect(fake.isPaused()).toBe(true);
        expect(measurement.notResumed).toBeNull();
        // In the last block at full speed it makes no difference.
        if (measurement.pairs.length < 3) expect(measurement.ended).toMatch(/somebody else has paused/);
      }),
      { numRuns: 60 },
    );
  });

  it('stops, and resumes, when somebody else pauses or resumes, and when the daemon is another one', async () => {
    for (const [change, why] of [
      [(fake: ReturnType<typeof fakeDaemon>) => (fake.totals.state = 'stopping'), /was to be .* and is stopping/],
      [(fake: ReturnType<typeof fakeDaemon>) => (fake.totals.startedAt = 'later'), /started anew/],
    ] as const) {
      const fake = fakeDaemon();
      let sleeps = 0;
      const sleep = (ms: number) => {
        if (++sleeps === 6) change(fake);
        return fake.sleep(ms);
      };
      const measurement = await measureSavings(optionsFor(fake, { sleep }));
      expect(measurement.ended).toMatch(why);
      expect(measurement.pairs).toHaveLength(1);
      expect(fake.calls.at(-1)).toBe('resume');
    }
  });

  it('tries again to resume, says when it could not, and has nothing to resume where the daemon has gone', async () => {
    const failing = async (code: 'refused' | 'not-running') => {
      const fake = fakeDaemon();
      let resumes = 0;
      const daemon = {
        ...fake.daemon,
        pause: () => Promise.reject(new ControlError(code, `it is ${code}`)),
        resume: () => {
          resumes += 1;
          return Promise.reject(new ControlError(code, `it is ${code}`));
        },
      };
      return { ...(await measureSavings(optionsFor(fake, { daemon }))), resumes };
    };
    expect(await failing('refused')).toMatchObject({ pairs: [], ended: 'it is refused', notResumed: 'it is refused' });
    expect((await failing('refused')).resumes).toBeGreaterThan(3);
    expect(await failing('not-running')).toMatchObject({ pairs: [], ended: 'it is not-running', notResumed: null });
  });
});

describe('the report', () => {
  it('says so where there is nothing to compare, or no power, or no interval', async () => {
    expect(savingsLines(savingsReport({ pairs: [], ended: 'received SIGINT', notResumed: null }, LENGTHS))).toEqual([
      'ended early: received SIGINT',
      'no pair of blocks is whole: nothing to compare',
    ]);
    const fake = fakeDaemon();
    const daemon = { ...fake.daemon, totals: async () => ({ ...(await fake.daemon.totals()), energy: null }) };
    const report = savingsReport(await measureSavings(optionsFor(fake, { daemon, pairs: 1 })), LENGTHS);
    expect(report.power).toBeNull();
    const text = savingsLines(report).join('\n');
    expect(text).toContain('power is not known here');
    expect(text).toContain('one pair alone has no confidence interval');
  });

  it('compares no latency of blocks without requests', async () => {
    const fake = fakeDaemon();
    const daemon = {
      ...fake.daemon,
      totals: async () => {
        const totals = await fake.daemon.totals();
        const idle = { requests: 0, overSlo: 0, latency: { inUse: [], sumNs: 0 } };
        return { ...totals, services: totals.services.map((service) => ({ ...service, ...idle })) };
      },
    };
    const report = savingsReport(await measureSavings(optionsFor(fake, { daemon, pairs: 2 })), LENGTHS);
    expect(report.services[0]).toMatchObject({ p99Ms: null, overSloRatio: null, p99OfAllMs: null });
    expect(report.services[0]!.throughputRps!.change).toBeNull();
    expect(JSON.stringify(report)).not.toContain('NaN');
  });
});
