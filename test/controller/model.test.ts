import { describe, expect, it } from 'vitest';
import { model, modelLaw } from '../../src/controller/model.ts';
import { learnService, nothingLearned } from '../../src/controller/service-estimate.ts';
import type { Observation } from '../../src/core/controller.ts';
import { NS_PER_MS } from '../../src/core/units.ts';
import { input, SLO } from './observation.ts';
import { runBench, summarize } from './queue-bench.ts';

const law = modelLaw(model.parameters.parse({}) as Parameters<typeof modelLaw>[0]);

interface Run {
  readonly state: ReturnType<typeof law.initial>;
  readonly service: ReturnType<typeof learnService>;
  readonly level: number;
  readonly reason: string;
}

const startAt = (level: number): Run => ({ state: law.initial(level), service: nothingLearned, level, reason: '' });

/** As under the guard, which learns what the law is told of the service. */
function step({ state, service, level }: Run, changes: Partial<Observation>): Run {
  const given = input(changes, { appliedLevel: level });
  const learned = learnService(service, given);
  return { ...law.step(given, state, learned), service: learned };
}

function stepMany(times: number, from: number, changes: Partial<Observation>): Run {
  let run = startAt(from);
  for (let i = 0; i < times; i++) run = step(run, changes);
  return run;
}

describe('modelLaw()', () => {
  it('holds until requests have completed', () => {
    const silent = { quantileNs: null, handlingTimeNs: null, socketWaitNs: null, requests: 0, throughputRps: 0 };
    expect(stepMany(5, 0.7, silent)).toMatchObject({ level: 0.7, reason: 'nothing completed: staying at 70 %' });
  });

  it('raises at once for a jump of the load that it can foresee the outcome of', () => {
    const run = stepMany(200, 0.5, { demandNs: NS_PER_MS });
    const latest = { windowMs: 100, arrivals: 150, requests: 150, overSlo: 0, quantileNs: 12 * NS_PER_MS };
    expect(step(run, { demandNs: NS_PER_MS, latest }).level).toBeGreaterThan(run.level * 1.3);
  });

  it('raises, though its formulas say otherwise, while what is measured is over the SLO', () => {
    const latest = { windowMs: 100, arrivals: 30, requests: 30, overSlo: 2, quantileNs: 40 * NS_PER_MS };
    const late = { quantileNs: 40 * NS_PER_MS, overSlo: 20, demandNs: NS_PER_MS / 10, latest };
    expect(stepMany(100, 0.5, late).level).toBeGreaterThan(0.5);
  });

  it('keeps more room where few requests are much longer than the others', () => {
    const busy = { demandNs: NS_PER_MS, throughputRps: 3000, requests: 3000, utilization: 0.9 };
    const latest = { windowMs: 100, arrivals: 300, requests: 300, overSlo: 0, quantileNs: 10 * NS_PER_MS };
    const levelFor = (handlingVariability: number) =>
      stepMany(300, 0.6, { ...busy, latest, handlingVariability }).level;
    expect(levelFor(50)).toBeGreaterThan(levelFor(1.5) * 1.02);
  });

  it('goes down, but never to less than three fifths of what was measured', () => {
    const easy = { quantileNs: NS_PER_MS, handlingTimeNs: NS_PER_MS / 4, socketWaitNs: 0, utilization: 0.05 };
    expect(stepMany(1, 1, easy).level).toBeCloseTo(0.6, 9);
  });

  it('does not go down while the counts leave the SLO in doubt', () => {
    expect(stepMany(20, 0.5, { quantileNs: 14 * NS_PER_MS, requests: 10 }).level).toBeGreaterThanOrEqual(0.5);
  });

  it('takes for granted that no frequency shortens what is no CPU time', () => {
    // Half of the time is the CPU's, or all of it: the second would grow more when the level falls.
    const times = { quantileNs: 10 * NS_PER_MS, handlingTimeNs: 4 * NS_PER_MS, socketWaitNs: 0, utilization: 0.1 };
    const partly = stepMany(10, 0.8, { ...times, demandNs: NS_PER_MS / 2 });
    const wholly = stepMany(10, 0.8, { ...times, demandNs: 4 * NS_PER_MS });
    expect(partly.service.restNs).toBeGreaterThan(wholly.service.restNs);
    expect(partly.level).toBeLessThan(wholly.level);
  });

  it('learns a margin from slow requests beyond the budget, and gives it back', () => {
    const spent = { latest: { windowMs: 100, arrivals: 30, requests: 30, overSlo: 2, quantileNs: null } };
    const careful = stepMany(50, 0.5, spent).state.spending.margin;
    expect(careful).toBeGreaterThan(0.1);
    expect(stepMany(50, 0.5, {}).state.spending.margin).toBeLessThan(law.initial(0.5).spending.margin);
  });

  it('keeps what it has learned when the level is moved over its head', () => {
    const { state } = stepMany(20, 0.5, { demandNs: NS_PER_MS });
    expect(law.moved!(state, 1)).toEqual({ ...state, asked: 1 });
  });
});

describe('the model controller on a queue', () => {
  const bench = { controller: model.create({}), slo: SLO, serviceNs: NS_PER_MS };

  // The lowest level at which p99 is 20 ms in M/M/1: load + 4.605 × 1 ms ÷ 20 ms.
  it.each([
    [0.15, 0.38],
    [0.3, 0.53],
    [0.5, 0.73],
  ])('comes near the static optimum at a load of %d', (load, optimum) => {
    for (const seed of [1, 2]) {
      const ticks = runBench({ ...bench, loadAt: () => load, durationMs: 120_000, seed });
      const steady = summarize(ticks, SLO.quantile, 20_000);
      expect(steady.overRatio).toBeLessThan(0.01);
      expect(steady.meanLevel).toBeLessThan(optimum + 0.08);
    }
  });

  it('needs neither utilisation nor CPU time', () => {
    const blind = { seesUtilization: false, seesDemand: false };
    const ticks = runBench({ ...bench, ...blind, loadAt: () => 0.3, durationMs: 120_000, seed: 3 });
    const steady = summarize(ticks, SLO.quantile, 20_000);
    expect(steady.overRatio).toBeLessThan(0.01);
    expect(steady.meanLevel).toBeLessThan(0.8);
  });

  it('holds a server that reads at once and queues inside', () => {
    const ticks = runBench({ ...bench, queues: 'server', loadAt: () => 0.3, durationMs: 120_000, seed: 3 });
    const steady = summarize(ticks, SLO.quantile, 20_000);
    expect(steady.overRatio).toBeLessThan(0.01);
    expect(steady.meanLevel).toBeLessThan(0.7);
  });

  it('recovers from a step of the load from 20 % to 70 %', () => {
    const slo = { ...SLO, latencyNs: 40 * NS_PER_MS };
    const loadAt = (atMs: number) => (atMs < 30_000 ? 0.2 : 0.7);
    const ticks = runBench({ ...bench, slo, loadAt, durationMs: 60_000, seed: 4 });
    const raised = ticks.find(({ atMs, appliedLevel }) => atMs > 30_000 && appliedLevel > 0.7);
    expect(raised?.atMs).toBeLessThan(31_000);
    expect(summarize(ticks, slo.quantile, 33_000).overRatio).toBeLessThan(0.02);
  });

  it('saves power at 5 requests a second', () => {
    const ticks = runBench({ ...bench, loadAt: () => 0.005, durationMs: 320_000, seed: 1 });
    const { meanLevel, overRatio } = summarize(ticks, SLO.quantile);
    expect(meanLevel).toBeLessThan(0.5);
    expect(overRatio).toBeLessThan(0.01);
  });
});
