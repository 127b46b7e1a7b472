import type { Controller, Level } from '../../src/core/controller.ts';
import { Histogram } from '../../src/core/histogram.ts';
import type { Snapshot } from '../../src/core/sensor.ts';
import type { Slo } from '../../src/core/slo.ts';
import { NS_PER_MS, NS_PER_S } from '../../src/core/units.ts';
import { ObservationWindow } from '../../src/loop/observation-window.ts';
import { railedStep } from '../../src/loop/rails.ts';

/** A seeded source of numbers in [0, 1): mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface BenchOptions {
  readonly controller: Controller;
  readonly slo: Slo;
  /** Mean service time at full speed. */
  readonly serviceNs: number;
  /** Offered load as a share of capacity at full speed, at a time since the start. */
  readonly loadAt: (atMs: number) => number;
  readonly durationMs: number;
  readonly intervalMs?: number;
  readonly seed?: number;
  readonly limits?: { readonly min: Level; readonly max: Level };
  /** Service demand: exponential by default. */
  readonly shape?: 'exponential' | 'lognormal';
  /** Is the busy share known? */
  readonly seesUtilization?: boolean;
  /** Ascending levels that the machine has; any where absent. */
  readonly ladder?: readonly Level[];
  /** Does the server read a request only when it starts it (one thread), or at once, so that it queues inside? */
  readonly queues?: 'socket' | 'server';
  /** The highest level that the machine gives, at a time: a thermal cap. */
  readonly capAt?: (atMs: number) => Level;
  /** Is the CPU time of requests known? */
  readonly seesDemand?: boolean;
  /** What each request waits for a disk or a downstream besides, on average, at any speed and with any number of others. */
  readonly elsewhereNs?: number;
}

export interface BenchTick {
  readonly atMs: number;
  readonly level: Level;
  readonly appliedLevel: Level;
  readonly reason: string;
  readonly requests: number;
  readonly overSlo: number;
  readonly inFlight: number;
  readonly latency: Histogram;
}

/**
 * A small M/G/1 queue in simulated time: one server, first come first served, whose speed is the applied level. Gathers windows
 * as the loop does and steps the controller at every interval.
 */
export function runBench(options: BenchOptions): readonly BenchTick[] {
  const { controller, slo, serviceNs, durationMs } = options;
  const intervalMs = options.intervalMs ?? 100;
  const limits = options.limits ?? { min: 0.2, max: 1 };
  const random = seeded(options.seed ?? 1);
  const exponential = () => -Math.log(1 - random());
  const demandNs = () => {
    if (options.shape !== 'lognormal') return serviceNs * exponential();
    const normal = Math.sqrt(2 * exponential()) * Math.cos(2 * Math.PI * random());
    return serviceNs * Math.exp(0.8 * normal - 0.32);
  };
  const apply = (level: Level, atMs: number) => {
    const step = options.ladder?.find((candidate) => candidate >= level - 1e-9) ?? level;
    return Math.min(options.capAt?.(atMs) ?? 1, step);
  };

  const window = new ObservationWindow(slo);
  const ticks: BenchTick[] = [];
  let state = controller.initial(1);
  let appliedLevel: Level = 1;
  let nowNs = 0;
  let nextArrivalNs = 0;
  const queue: { atNs: number; leftNs: number; startedNs: number | null }[] = [];
  let busyRatio: number | null = null;
  let busyNs = 0;
  let lookedNs = 0;
  let cpuTimeNs = 0;

  for (let tick = 1; tick * intervalMs <= durationMs; tick++) {
    const endNs = tick * intervalMs * NS_PER_MS;
    const latency = new Histogram();
    const socketWait = new Histogram();
    const handlingTime = new Histogram();
    let arrivals = 0;
    let overSlo = 0;
    while (nowNs < endNs) {
      const head = queue[0];
      const doneNs = head === undefined ? Infinity : nowNs + head.leftNs / appliedLevel;
      const untilNs = Math.min(doneNs, nextArrivalNs, endNs);
      if (head !== undefined) {
        head.leftNs -= (untilNs - nowNs) * appliedLevel;
        busyNs += untilNs - nowNs;
        cpuTimeNs += untilNs - nowNs;
      }
      nowNs = untilNs;
      if (head !== undefined && untilNs === doneNs) {
        queue.shift();
        const startNs = head.startedNs!;
        const elsewhereNs = options.elsewhereNs === undefined ? 0 : options.elsewhereNs * exponential();
        const latencyNs = nowNs - head.atNs + elsewhereNs;
        latency.record(latencyNs);
        socketWait.record(startNs - head.atNs);
        handlingTime.record(nowNs - startNs + elsewhereNs);
        if (latencyNs > slo.latencyNs) overSlo++;
        const next = queue[0];
        if (next !== undefined) next.startedNs ??= nowNs;
      } else if (untilNs === nextArrivalNs) {
        const readAtOnce = queue.length === 0 || options.queues === 'server';
        queue.push({ atNs: nowNs, leftNs: demandNs(), startedNs: readAtOnce ? nowNs : null });
        arrivals++;
        const load = options.loadAt(nowNs / NS_PER_MS);
        nextArrivalNs = nowNs + (load > 0 ? (exponential() * serviceNs) / load : NS_PER_S);
      }
    }
    if (nowNs - lookedNs >= NS_PER_S) {
      busyRatio = options.seesUtilization === false ? null : busyNs / (nowNs - lookedNs);
      busyNs = 0;
      lookedNs = nowNs;
    }
    const requests = latency.count;
    const oldestNs = queue[0] === undefined ? 0 : nowNs - queue[0].atNs;
    const snapshot: Snapshot = {
      target: 'bench',
      method: 'simulated',
      unit: 'turn',
      atNs: BigInt(Math.round(nowNs)),
      windowNs: intervalMs * NS_PER_MS,
      health: arrivals === 0 && requests === 0 && queue.length === 0 ? 'idle' : 'active',
      arrivals,
      requests,
      overSlo,
      abandoned: 0,
      unsolicited: 0,
      dropped: 0,
      inFlight: queue.length,
      oldestInFlightNs: oldestNs,
      latency,
      socketWait,
      handlingTime,
      cpuTimeNs: options.seesDemand === false ? null : cpuTimeNs,
      busiestThreadRatio: busyRatio,
    };
    cpuTimeNs = 0;
    const observation = window.observe(snapshot, false);
    const step = railedStep(controller, { slo, observation, elapsedMs: intervalMs, appliedLevel, limits }, state);
    window.stepped();
    if (step.fault !== undefined) throw new Error(step.fault);
    state = step.state;
    appliedLevel = apply(step.level, nowNs / NS_PER_MS);
    ticks.push({
      atMs: nowNs / NS_PER_MS,
      level: step.level,
      appliedLevel,
      reason: step.reason,
      requests,
      overSlo,
      inFlight: queue.length,
      latency,
    });
  }
  return ticks;
}

export interface BenchSummary {
  readonly requests: number;
  readonly overRatio: number;
  readonly quantileMs: number;
  readonly meanLevel: number;
  readonly changes: number;
  readonly lowest: number;
  readonly highest: number;
}

/** Figures of the ticks in a span of time. */
export function summarize(ticks: readonly BenchTick[], quantile: number, fromMs = 0, toMs = Infinity): BenchSummary {
  const span = ticks.filter(({ atMs }) => atMs > fromMs && atMs <= toMs);
  const latency = new Histogram();
  let overSlo = 0;
  let levels = 0;
  let changes = 0;
  let before: Level | null = null;
  for (const tick of span) {
    latency.add(tick.latency);
    overSlo += tick.overSlo;
    levels += tick.appliedLevel;
    if (before !== null && Math.abs(tick.appliedLevel - before) > 1e-9) changes++;
    before = tick.appliedLevel;
  }
  return {
    requests: latency.count,
    overRatio: overSlo / latency.count,
    quantileMs: latency.quantileNs(quantile) / NS_PER_MS,
    meanLevel: levels / span.length,
    changes,
    lowest: Math.min(...span.map(({ appliedLevel }) => appliedLevel)),
    highest: Math.max(...span.map(({ appliedLevel }) => appliedLevel)),
  };
}
