import { isDeepStrictEqual } from 'node:util';
import { bucketLowNs, BUCKETS, type Histogram } from '../core/histogram.ts';
import type { Slo } from '../core/slo.ts';
import type { Decision, TickReport } from '../core/tick-report.ts';
import { NS_PER_US } from '../core/units.ts';
import type { ShownPolicy } from './daemon-status.ts';
import { addTimes, noTimes, type ServiceTimes, type TimesMessage } from './metrics-times.ts';

/** Rows of the heat map: four an octave, so that a row is at most a fifth wider than its lower bound. */
const BUCKETS_A_ROW = 8;
export const HEAT_ROW_BOUNDS_US: readonly number[] = Array.from(
  { length: BUCKETS / BUCKETS_A_ROW + 1 },
  (_, row) => bucketLowNs(row * BUCKETS_A_ROW) / NS_PER_US,
);

/** One second of a service, as the dashboard draws it. Times in µs, null where nothing completed. */
export interface ServiceSecond {
  readonly requests: number;
  readonly overSlo: number;
  readonly p50Us: number | null;
  /** At the quantile of the SLO. */
  readonly tailUs: number | null;
  readonly socketWaitUs: number | null;
  readonly handlingTimeUs: number | null;
  readonly inFlight: number;
  readonly askedLevel: number;
  readonly level: number;
  readonly utilization: number | null;
  /** Row and count, row and count, ...: only rows that hold something. */
  readonly heat: readonly number[];
}

export interface Second {
  /** Seconds since 1970: also the name of the second. */
  readonly at: number;
  /** The time that the ticks of this second cover, in s: what counts are to be divided by. */
  readonly coveredS: number;
  /** By domain, as last applied. */
  readonly khz: Readonly<Record<string, number>>;
  readonly watts: number | null;
  readonly faults: number;
  readonly missed: number;
  readonly paused: boolean;
  /** By name. */
  readonly services: Readonly<Record<string, ServiceSecond>>;
}

/** A change of a service's level, and why. */
export interface DecisionEntry {
  readonly at: number;
  readonly service: string;
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

/** A policy, or a rule of its schedule, that came into force. */
export interface PolicyEntry extends ShownPolicy {
  readonly at: number;
  readonly service: string;
  /** The cron expression of the rule in force; null where the policy has no schedule or no rule has fired. */
  readonly rule: string | null;
}

interface OpenSecond {
  readonly at: number;
  readonly times: Map<string, ServiceTimes>;
  readonly requests: Map<string, number>;
  readonly overSlo: Map<string, number>;
  coveredMs: number;
  faults: number;
  missedBefore: number;
  missed: number;
  watts: number | null;
  last: TickReport;
}

const SECONDS_KEPT = 900;
const DECISIONS_KEPT = 300;
const POLICIES_KEPT = 100;
/** Smaller changes of level are no news. */
const LEVEL_STEP = 0.005;

/**
 * The last quarter of an hour, second by second: ticks are gathered, so that it costs the same whatever their interval is.
 * Plain figures and our own sentences; no file, no process, no error text.
 */
export class DashboardHistory {
  readonly #seconds: Second[] = [];
  readonly #decisions: DecisionEntry[] = [];
  readonly #policies: PolicyEntry[] = [];
  readonly #levels = new Map<string, number>();
  readonly #policyOf: (service: string) => ShownPolicy;
  #open: OpenSecond | null = null;

  /** @param policyOf the policy in force for a service */
  constructor(policyOf: (service: string) => ShownPolicy) {
    this.#policyOf = policyOf;
  }

  tick(
    report: TickReport,
    missed: number,
    times: readonly (TimesMessage | null)[],
    watts: number | null,
    atMs: number,
  ): void {
    const at = Math.floor(atMs / 1000);
    // A clock that was set back: what comes goes into the second that is open, until time has caught up.
    if (this.#open !== null && at > this.#open.at) this.#close(this.#open);
    this.#open ??= openSecond(at, missed, report);
    const open = this.#open;
    open.last = report;
    open.missed = missed;
    open.watts = watts;
    open.faults += report.faults.length;
    open.coveredMs += report.services[0]?.snapshot.windowMs ?? 0;
    report.services.forEach(({ service, snapshot, decision }, index) => {
      open.requests.set(service, (open.requests.get(service) ?? 0) + snapshot.requests);
      open.overSlo.set(service, (open.overSlo.get(service) ?? 0) + snapshot.overSlo);
      const seen = times[index] ?? null;
      if (seen !== null) addTimes(open.times.get(service) ?? this.#newTimes(open, service), seen);
      this.#noteDecision(service, decision.level, decision.reason, open.at);
    });
  }

  /** Complete seconds after `at`, oldest first. */
  secondsAfter(at: number): readonly Second[] {
    return this.#seconds.filter((second) => second.at > at);
  }

  /** Decisions after the second `at`, oldest first. */
  decisionsAfter(at: number): readonly DecisionEntry[] {
    const complete = this.#seconds.at(-1)?.at ?? -Infinity;
    return this.#decisions.filter((decision) => decision.at > at && decision.at <= complete);
  }

  /** Of all services, oldest first. */
  get policies(): readonly PolicyEntry[] {
    return this.#policies;
  }

  #notePolicy(service: string, { schedule }: Decision, at: number): void {
    const entry = { at, service, ...this.#policyOf(service), rule: schedule?.rule ?? null };
    const before = this.#policies.findLast((each) => each.service === service);
    if (before !== undefined && isDeepStrictEqual({ ...before, at }, entry)) return;
    this.#policies.push(entry);
    if (this.#policies.length > POLICIES_KEPT) this.#policies.shift();
  }

  #newTimes(open: OpenSecond, service: string): ServiceTimes {
    const times = noTimes();
    open.times.set(service, times);
    return times;
  }

  /** The last one of a second stands for it: a level that moves with every tick would fill the list in no time. */
  #noteDecision(service: string, to: number, reason: string, at: number): void {
    const from = this.#levels.get(service);
    if (from !== undefined && Math.abs(to - from) < LEVEL_STEP) return;
    this.#levels.set(service, to);
    const index = this.#decisions.findLastIndex((decision) => decision.service === service);
    const before = this.#decisions[index];
    if (before?.at === at) {
      // There and back within the second is no change.
      if (Math.abs(to - before.from) < LEVEL_STEP) this.#decisions.splice(index, 1);
      else this.#decisions[index] = { ...before, to, reason };
      return;
    }
    this.#decisions.push({ at, service, from: from ?? to, to, reason });
    if (this.#decisions.length > DECISIONS_KEPT) this.#decisions.shift();
  }

  #close(open: OpenSecond): void {
    this.#open = null;
    for (const { service, decision } of open.last.services) this.#notePolicy(service, decision, open.at);
    const frequencies = open.last.applied.frequencies;
    this.#seconds.push({
      at: open.at,
      coveredS: round(open.coveredMs / 1000),
      khz: Object.fromEntries(
        frequencies.flatMap(({ domain, appliedKhz }) => (appliedKhz === null ? [] : [[domain, appliedKhz]])),
      ),
      watts: open.watts === null ? null : round(open.watts),
      faults: open.faults,
      missed: open.missed - open.missedBefore,
      paused: open.last.paused,
      services: Object.fromEntries(open.last.services.map((report) => [report.service, serviceSecond(open, report)])),
    });
    if (this.#seconds.length > SECONDS_KEPT) this.#seconds.shift();
  }
}

const openSecond = (at: number, missed: number, last: TickReport): OpenSecond => ({
  at,
  times: new Map(),
  requests: new Map(),
  overSlo: new Map(),
  coveredMs: 0,
  faults: 0,
  missedBefore: missed,
  missed,
  watts: null,
  last,
});

function serviceSecond(open: OpenSecond, report: TickReport['services'][number]): ServiceSecond {
  const { service, slo, snapshot, decision, observation, appliedLevel } = report;
  const times = open.times.get(service);
  return {
    requests: open.requests.get(service) ?? 0,
    overSlo: open.overSlo.get(service) ?? 0,
    ...quantiles(times?.latency, slo),
    socketWaitUs: meanUs(times?.socketWait),
    handlingTimeUs: meanUs(times?.handlingTime),
    inFlight: snapshot.inFlight,
    askedLevel: round(decision.level),
    level: round(appliedLevel),
    utilization: observation.utilization === null ? null : round(observation.utilization),
    heat: times === undefined ? [] : heatOf(times.latency),
  };
}

function quantiles(latency: Histogram | undefined, slo: Slo): { p50Us: number | null; tailUs: number | null } {
  if (latency === undefined || latency.count === 0) return { p50Us: null, tailUs: null };
  return {
    p50Us: round(latency.quantileNs(0.5) / NS_PER_US),
    tailUs: round(latency.quantileNs(slo.quantile) / NS_PER_US),
  };
}

const meanUs = (histogram: Histogram | undefined) =>
  histogram === undefined || histogram.count === 0 ? null : round(histogram.meanNs / NS_PER_US);

function heatOf({ counts }: Histogram): readonly number[] {
  const heat: number[] = [];
  for (let row = 0; row < BUCKETS / BUCKETS_A_ROW; row++) {
    let count = 0;
    for (let bucket = row * BUCKETS_A_ROW; bucket < (row + 1) * BUCKETS_A_ROW; bucket++) count += counts[bucket]!;
    if (count > 0) heat.push(row, count);
  }
  return heat;
}

const round = (value: number) => Math.round(value * 1000) / 1000;
