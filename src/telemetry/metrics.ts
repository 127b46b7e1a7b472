import type { DisturbanceKind, WriteOutcome } from '../core/actuator.ts';
import { Histogram } from '../core/histogram.ts';
import { ALARM_KINDS, type AlarmKind, type Health, type RequestUnit } from '../core/sensor.ts';
import type { SnapshotSummary } from '../core/snapshot-summary.ts';
import type { LoopMode, ServiceReport, TickReport } from '../core/tick-report.ts';
import { NS_PER_MS, NS_PER_S } from '../core/units.ts';
import type { ChangeStatus, DaemonStatus, Http2Totals, LoopIdentity, ShownPolicy } from './daemon-status.ts';
import type { ServiceTotals } from './daemon-totals.ts';
import type { PowerMeter } from './power-meter.ts';
import type { Labels, Metric, Sample } from './metrics-exposition.ts';
import { countBounds, histogramSamples, octaveBoundsNs } from './metrics-histogram.ts';
import { addTimes, noTimes, type ServiceTimes, type TimesMessage } from './metrics-times.ts';

export interface MetricsOptions {
  readonly version: string;
  readonly mode: LoopMode;
  readonly startedAtMs: number;
  /** The policy in force for a service. */
  readonly policyOf: (service: string) => ShownPolicy;
}

export type PowerFigures = Pick<PowerMeter, 'origin' | 'energy' | 'watts'>;

/** Sums since the start, of which Prometheus takes rates; and the last tick's state. */
interface ServiceSums {
  readonly times: ServiceTimes;
  arrivals: number;
  requests: number;
  overSlo: number;
  abandoned: number;
  unsolicited: number;
  dropped: number;
  /** Null until HTTP/2 was seen. */
  http2: Http2Totals | null;
  readonly alarms: Map<AlarmKind, number>;
  /** Requests within the SLO's bound, as last told: it never falls while the bound stays. */
  withinSlo: number;
  last: ServiceReport;
}

/** 16 µs to 17 s: two bounds an octave where quantiles are taken, one elsewhere. */
const LATENCY_BOUNDS_NS = octaveBoundsNs(16_384, 17_179_869_184, 2);
const SHARE_BOUNDS_NS = octaveBoundsNs(16_384, 17_179_869_184, 1);
/** 65 µs to 1.1 s. */
const TICK_BOUNDS_NS = octaveBoundsNs(65_536, 1_073_741_824, 1);

const HEALTH_STATES: readonly Health[] = ['active', 'idle', 'stall', 'silence'];
const NO_OUTCOMES: Readonly<Record<WriteOutcome, number>> = {
  applied: 0,
  unchanged: 0,
  clamped: 0,
  refused: 0,
  yielded: 0,
};
const DISTURBANCES: readonly DisturbanceKind[] = ['foreign-writer', 'limit', 'failure', 'machine'];

/** Gathers what the daemon tells Prometheus, tick by tick. Series are bounded by services and frequency domains. */
export class DaemonMetrics {
  readonly #options: MetricsOptions;
  /** Of the services that the last tick had: one that is governed no longer is told no longer. */
  #services = new Map<string, ServiceSums>();
  readonly #alarmAnswers = new Histogram();
  readonly #tickTook = new Histogram();
  readonly #tickLate = new Histogram();
  readonly #outcomes = { ...NO_OUTCOMES };
  #writes = 0;
  #ticks = 0;
  #missed = 0;
  #unreported = 0;
  #faults = 0;
  #identity: LoopIdentity | null = null;
  #last: TickReport | null = null;
  #lastAtMs = 0;

  constructor(options: MetricsOptions) {
    this.#options = options;
  }

  /** How it is governed, at the start and whenever that has changed. */
  identify(identity: LoopIdentity): void {
    this.#identity = identity;
  }

  /**
   * @param missed ticks that were due and did not happen, since the start
   * @param times the services' times in the report's order; null where nothing completed
   * @param atMs wall time
   */
  tick(report: TickReport, missed: number, times: readonly (TimesMessage | null)[], atMs: number): void {
    // The loop leaves reports out while it is pressed for time; it numbers them all.
    if (this.#last !== null) this.#unreported += Math.max(0, report.tick - this.#last.tick - 1);
    this.#last = report;
    this.#lastAtMs = atMs;
    this.#ticks++;
    this.#missed = missed;
    this.#faults += report.faults.length;
    this.#writes += report.applied.writes;
    this.#tickTook.record(Math.round(report.tookMs * NS_PER_MS));
    this.#tickLate.record(Math.round(Math.max(0, report.lateMs) * NS_PER_MS));
    for (const { outcome } of report.applied.frequencies) this.#outcomes[outcome]++;
    const services = report.services.map((service, index): [string, ServiceSums] => {
      const sums = this.#services.get(service.service) ?? noSums(service);
      add(sums, service, times[index] ?? null);
      return [service.service, sums];
    });
    this.#services = new Map(services);
    for (const { target, kind, answeredMs } of report.alarms ?? []) {
      const alarms = this.#services.get(target)?.alarms;
      alarms?.set(kind, (alarms.get(kind) ?? 0) + 1);
      this.#alarmAnswers.record(Math.round(Math.max(0, answeredMs) * NS_PER_MS));
    }
  }

  /** Since the start, of the services that speak HTTP/2. */
  get http2(): Readonly<Record<string, Http2Totals>> {
    const known = [...this.#services].flatMap(([service, { http2 }]) => (http2 === null ? [] : [[service, http2]]));
    return Object.fromEntries(known) as Record<string, Http2Totals>;
  }

  /** Sums since the start. */
  get totals(): readonly ServiceTotals[] {
    return [...this.#services].map(([service, { last, requests, overSlo, times }]) => {
      const { inUse, sumNs } = times.latency;
      return { service, slo: last.slo, requests, overSlo, latency: { inUse, sumNs } };
    });
  }

  families(status: Pick<DaemonStatus, 'state' | 'changes'>, power: PowerFigures | null): readonly Metric[] {
    return [
      ...this.#requestFamilies(),
      ...this.#objectiveFamilies(),
      ...this.#frequencyFamilies(),
      ...powerFamilies(power),
      ...this.#loopFamilies(status.state === 'paused'),
      ...changeFamilies(status.changes),
      ...this.#processFamilies(),
    ];
  }

  #requestFamilies(): readonly Metric[] {
    return [
      histogram(
        'tailgov_request_latency_seconds',
        'Time from the arrival of a request at the socket to the last byte of its reply; the SLO is one of the bounds. Without network card, network and client.',
        this.#perService(({ times, withinSlo, last }, labels) =>
          histogramSamples(labels, times.latency, LATENCY_BOUNDS_NS, { boundNs: last.slo.latencyNs, count: withinSlo }),
        ),
      ),
      histogram(
        'tailgov_request_socket_wait_seconds',
        'The part of the latency before the server read the request: time in the socket, which the server itself cannot see.',
        this.#perService(({ times }, labels) => histogramSamples(labels, times.socketWait, SHARE_BOUNDS_NS)),
      ),
      histogram(
        'tailgov_request_handling_time_seconds',
        'The part of the latency after the server read the request: its own queues, work and waits for others.',
        this.#perService(({ times }, labels) => histogramSamples(labels, times.handlingTime, SHARE_BOUNDS_NS)),
      ),
      this.#counter('tailgov_request_arrivals_total', 'Requests whose first byte has arrived.', 'arrivals'),
      this.#counter('tailgov_requests_total', 'Requests whose reply has been sent.', 'requests'),
      this.#counter(
        'tailgov_requests_over_slo_total',
        'Requests that took longer than the bound of the SLO: counted one by one in the kernel, not taken from a histogram.',
        'overSlo',
      ),
      this.#counter(
        'tailgov_requests_abandoned_total',
        'Requests whose connection closed before they had a reply.',
        'abandoned',
      ),
      this.#counter(
        'tailgov_unsolicited_sends_total',
        'Sends that answer no request, such as pushes; they touch no latency.',
        'unsolicited',
      ),
      gauge(
        'tailgov_request_unit',
        '1 for what a request of the service is now: a turn of a connection, or a stream of HTTP/2.',
        this.#perService(({ last }, labels) => [{ labels: { ...labels, unit: last.snapshot.unit }, value: 1 }]),
      ),
      counter(
        'tailgov_requests_by_unit_total',
        'Requests of a service that speaks HTTP/2, by what each was; the two are never added up elsewhere.',
        this.#perHttp2(({ turns, streams }, labels) => [
          { labels: { ...labels, unit: 'turn' }, value: turns },
          { labels: { ...labels, unit: 'stream' }, value: streams },
        ]),
      ),
      counter(
        'tailgov_connections_by_unit_total',
        'Connections of a service that speaks HTTP/2, by how their requests were begun to be counted: by turn those whose frames cannot be seen.',
        this.#perHttp2(({ turnConnections, streamConnections }, labels) => [
          { labels: { ...labels, unit: 'turn' }, value: turnConnections },
          { labels: { ...labels, unit: 'stream' }, value: streamConnections },
        ]),
      ),
      counter(
        'tailgov_connections_lost_total',
        'Connections whose frames were lost sight of, and which are counted by turn from then on.',
        this.#perHttp2(({ lostConnections }, labels) => [{ labels, value: lostConnections }]),
      ),
      counter(
        'tailgov_streaming_total',
        'Streams that turned out to be a conversation or a subscription: they touch no latency.',
        this.#perHttp2(({ streaming }, labels) => [{ labels, value: streaming }]),
      ),
      this.#counter(
        'tailgov_sensor_dropped_events_total',
        'Events that the sensor could not account for, for want of memory in the kernel: latencies are incomplete while this rises.',
        'dropped',
      ),
      counter(
        'tailgov_alarms_total',
        'Times that the kernel woke the loop for the service before its tick was due: requests over the SLO, a long wait in the socket, an arrival after idleness. Not while it is at its highest level, where nothing can be done.',
        this.#perService(({ alarms }, labels) =>
          ALARM_KINDS.map((kind) => ({ labels: { ...labels, kind }, value: alarms.get(kind) ?? 0 })),
        ),
      ),
      this.#state(
        'tailgov_requests_in_flight',
        'Requests that have arrived and have no reply yet.',
        ({ snapshot }) => snapshot.inFlight,
      ),
      this.#state(
        'tailgov_oldest_request_in_flight_seconds',
        'Age of the oldest request without a reply; 0 when there is none.',
        ({ snapshot }) => snapshot.oldestInFlightMs / 1000,
      ),
      this.#state(
        'tailgov_service_utilization_ratio',
        "Busy share of the service's busiest thread, 0 to 1: how near it is to saturation at its present speed. Absent where not known.",
        ({ observation }) => observation.utilization,
      ),
      gauge(
        'tailgov_service_health',
        '1 for the state that the service is in. idle: nothing to do. stall: requests are in flight and none completes. silence: the sensor has failed.',
        this.#perService(({ last }, labels) =>
          HEALTH_STATES.map((state) => ({
            labels: { ...labels, state },
            value: last.snapshot.health === state ? 1 : 0,
          })),
        ),
      ),
    ];
  }

  #objectiveFamilies(): readonly Metric[] {
    return [
      this.#state(
        'tailgov_slo_latency_seconds',
        'Objective: the bound on latency.',
        ({ slo }) => slo.latencyNs / NS_PER_S,
      ),
      this.#state(
        'tailgov_slo_target_ratio',
        'Objective: the share of requests that must keep the bound, 0.99 for p99.',
        ({ slo }) => slo.quantile,
      ),
      this.#state(
        'tailgov_slo_window_seconds',
        'Objective: the time over which compliance is counted.',
        ({ slo }) => slo.windowMs / 1000,
      ),
      this.#state(
        'tailgov_slo_met',
        '1 while the share of requests over the bound, in the window of the SLO, is within what the SLO tolerates; else 0.',
        ({ compliance }) => (compliance.met ? 1 : 0),
      ),
      gauge(
        'tailgov_policy_info',
        'The policy in force: its file and its controller. Always 1.',
        this.#perService(({ last }, labels) => [
          { labels: { ...labels, ...this.#options.policyOf(last.service) }, value: 1 },
        ]),
      ),
      this.#state(
        'tailgov_controller_failed',
        "1 while the policy's own controller has been given up after errors and another governs in its place; else 0.",
        ({ decision }) => (decision.failed === undefined ? 0 : 1),
      ),
      this.#state(
        'tailgov_asked_level_ratio',
        'The share of full capacity that the controller asks for, 0 to 1.',
        ({ decision }) => decision.level,
      ),
      this.#state(
        'tailgov_level_ratio',
        'The share of full capacity that the machine really is at for the service, 0 to 1.',
        ({ appliedLevel }) => appliedLevel,
      ),
      gauge(
        'tailgov_service_cpus',
        'The CPUs that the service may run on, where its CPUs are governed.',
        this.#perService(({ last }, labels) => {
          const granted = this.#last?.applied.cpus?.find(({ service }) => service === last.service)?.appliedCpus;
          return granted === undefined || granted === null ? [] : [{ labels, value: granted.length }];
        }),
      ),
    ];
  }

  #frequencyFamilies(): readonly Metric[] {
    const applied = this.#last?.applied;
    const frequencies = applied?.frequencies ?? [];
    const domains = this.#identity?.domains ?? [];
    const hertz = (domain: string, khz: number | null): readonly Sample[] =>
      khz === null ? [] : [{ labels: { domain }, value: khz * 1000 }];
    const disturbed = (kind: DisturbanceKind): Sample => ({
      labels: { kind },
      value: applied?.disturbances?.filter((each) => each.kind === kind).length ?? 0,
    });
    return [
      gauge(
        'tailgov_cpu_frequency_hertz',
        'The highest frequency that the CPUs of the domain may run at, as the kernel reads it back.',
        frequencies.flatMap(({ domain, appliedKhz }) => hertz(domain, appliedKhz)),
      ),
      gauge(
        'tailgov_cpu_frequency_asked_hertz',
        'The frequency that was asked for; the kernel may have made another of it.',
        frequencies.flatMap(({ domain, askedKhz }) => hertz(domain, askedKhz)),
      ),
      gauge(
        'tailgov_cpu_frequency_min_hertz',
        'The lowest frequency of the hardware.',
        domains.flatMap(({ id, minKhz }) => hertz(id, minKhz)),
      ),
      gauge(
        'tailgov_cpu_frequency_max_hertz',
        'The highest frequency of the hardware.',
        domains.flatMap(({ id, maxKhz }) => hertz(id, maxKhz)),
      ),
      counter(
        'tailgov_frequency_applications_total',
        'Frequencies asked of a domain, by what the kernel made of it. unchanged: nothing had to be written. refused: the old one stands. yielded: somebody else has it.',
        Object.entries(this.#outcomes).map(([outcome, value]) => ({ labels: { outcome }, value })),
      ),
      counter('tailgov_control_writes_total', 'Writes to the frequency controls of the kernel.', [
        { value: this.#writes },
      ]),
      gauge(
        'tailgov_disturbances',
        'Controls that are not as they were asked to be, by why. foreign-writer: somebody else writes. limit: firmware, heat or an operator allow less. failure: the kernel refuses. machine: a CPU or driver came or went.',
        applied?.disturbances === undefined ? [] : DISTURBANCES.map(disturbed),
      ),
      counter(
        'tailgov_disturbances_total',
        'How often a control turned out not to be as it was asked to be, by why.',
        Object.entries(applied?.disturbanceCounts ?? {}).map(([kind, value]) => ({ labels: { kind }, value })),
      ),
    ];
  }

  #loopFamilies(paused: boolean): readonly Metric[] {
    const { mode } = this.#options;
    const identity = this.#identity;
    return [
      gauge('tailgov_paused', '1 while an operator has paused governing and everything runs at full speed; else 0.', [
        { value: paused ? 1 : 0 },
      ]),
      gauge(
        'tailgov_predicted',
        '1 in a dry run, where latencies are predicted for the frequency that would have been set; 0 where they are measured.',
        [{ value: mode === 'dry-run' ? 1 : 0 }],
      ),
      gauge(
        'tailgov_loop_info',
        'How it is governed: what is done, how latency is measured, how frequencies are set. Always 1.',
        identity === null
          ? []
          : [
              {
                labels: { mode, sensor_method: identity.sensorMethod, actuator_method: identity.actuatorMethod },
                value: 1,
              },
            ],
      ),
      counter('tailgov_ticks_total', 'Rounds of the loop: sense, decide, apply. At rest two a second.', [
        { value: this.#ticks + this.#unreported },
      ]),
      counter(
        'tailgov_ticks_missed_total',
        'Rounds that were due and did not happen, since the one before took too long.',
        [{ value: this.#missed }],
      ),
      counter(
        'tailgov_ticks_unreported_total',
        'Rounds whose figures are in no other series: the loop was pressed for time and kept to governing.',
        [{ value: this.#unreported }],
      ),
      counter('tailgov_faults_total', 'What went wrong in a round and was survived; the log says what.', [
        { value: this.#faults },
      ]),
      histogram(
        'tailgov_tick_duration_seconds',
        'Time that a round of the loop took.',
        histogramSamples({}, this.#tickTook, TICK_BOUNDS_NS),
      ),
      histogram(
        'tailgov_tick_lateness_seconds',
        'Time from the moment that a round was due to its beginning.',
        histogramSamples({}, this.#tickLate, TICK_BOUNDS_NS),
      ),
      histogram(
        'tailgov_alarm_answer_seconds',
        'Time from an alarm of the kernel to the moment at which the new frequency was set.',
        histogramSamples({}, this.#alarmAnswers, TICK_BOUNDS_NS),
      ),
      gauge(
        'tailgov_last_tick_timestamp_seconds',
        'When the last round of the loop ended, in seconds since 1970.',
        this.#last === null ? [] : [{ value: this.#lastAtMs / 1000 }],
      ),
    ];
  }

  #processFamilies(): readonly Metric[] {
    const { version, startedAtMs } = this.#options;
    const { user, system } = process.cpuUsage();
    return [
      gauge('tailgov_build_info', 'The version that runs. Always 1.', [
        { labels: { version, node_version: process.versions.node }, value: 1 },
      ]),
      counter('process_cpu_seconds_total', 'CPU time of the daemon itself, all of its threads.', [
        { value: (user + system) / 1e6 },
      ]),
      gauge('process_resident_memory_bytes', 'Memory of the daemon itself.', [{ value: process.memoryUsage.rss() }]),
      gauge('process_start_time_seconds', 'When the daemon started, in seconds since 1970.', [
        { value: startedAtMs / 1000 },
      ]),
    ];
  }

  #perService(samples: (sums: ServiceSums, labels: Labels) => readonly Sample[]): Sample[] {
    return [...this.#services].flatMap(([service, sums]) => samples(sums, { service }));
  }

  #counter(name: string, help: string, sum: SumName): Metric {
    return counter(
      name,
      help,
      this.#perService((sums, labels) => [{ labels, value: sums[sum] }]),
    );
  }

  #perHttp2(samples: (http2: Http2Totals, labels: Labels) => readonly Sample[]): readonly Sample[] {
    return this.#perService(({ http2 }, labels) => (http2 === null ? [] : samples(http2, labels)));
  }

  /** What the last tick said; absent where it is not known. */
  #state(name: string, help: string, value: (last: ServiceReport) => number | null): Metric {
    const samples = this.#perService(({ last }, labels) => {
      const now = value(last);
      return now === null ? [] : [{ labels, value: now }];
    });
    return gauge(name, help, samples);
  }
}

type SumName = 'arrivals' | 'requests' | 'overSlo' | 'abandoned' | 'unsolicited' | 'dropped';

function noSums(last: ServiceReport): ServiceSums {
  return {
    times: noTimes(),
    arrivals: 0,
    requests: 0,
    overSlo: 0,
    abandoned: 0,
    unsolicited: 0,
    dropped: 0,
    http2: null,
    alarms: new Map(),
    withinSlo: 0,
    last,
  };
}

function add(sums: ServiceSums, report: ServiceReport, times: TimesMessage | null): void {
  const { snapshot, slo } = report;
  const hasNewBound = slo.latencyNs !== sums.last.slo.latencyNs;
  sums.arrivals += snapshot.arrivals;
  sums.requests += snapshot.requests;
  sums.overSlo += snapshot.overSlo;
  sums.abandoned += snapshot.abandoned;
  sums.unsolicited += snapshot.unsolicited;
  sums.dropped += snapshot.dropped;
  sums.http2 = addHttp2(sums.http2, snapshot);
  sums.last = report;
  if (times !== null) addTimes(sums.times, times);
  else if (!hasNewBound) return;
  // Of those that were counted by another bound the histogram alone tells, as closely as its buckets do.
  if (hasNewBound) sums.withinSlo = 0;
  // A reply that goes on after it was counted may move its request over the bound: then the histogram tells it late.
  const { least, most } = countBounds(sums.times.latency, slo.latencyNs);
  const exact = Math.min(most, Math.max(least, sums.requests - sums.overSlo));
  sums.withinSlo = Math.max(sums.withinSlo, exact);
}

/** Of a service that speaks no HTTP/2 nothing is told here: all of its requests are of one unit. */
function addHttp2(sums: Http2Totals | null, { unit, requests, http2 }: SnapshotSummary): Http2Totals | null {
  if (http2 === undefined) return sums;
  const of = (which: RequestUnit) =>
    (unit === which ? requests : 0) + (http2.otherUnit.unit === which ? http2.otherUnit.requests : 0);
  return {
    turnConnections: (sums?.turnConnections ?? 0) + http2.turnConnections,
    streamConnections: (sums?.streamConnections ?? 0) + http2.streamConnections,
    lostConnections: (sums?.lostConnections ?? 0) + http2.lostConnections,
    turns: (sums?.turns ?? 0) + of('turn'),
    streams: (sums?.streams ?? 0) + of('stream'),
    streaming: (sums?.streaming ?? 0) + http2.streaming,
  };
}

function powerFamilies(power: PowerFigures | null): readonly Metric[] {
  const sample = (value: number | null | undefined): readonly Sample[] => {
    if (power === null || value === null || value === undefined) return [];
    const { origin } = power;
    return [{ labels: { source: origin.source, ...('model' in origin ? { model: origin.model } : {}) }, value }];
  };
  return [
    counter(
      'tailgov_energy_joules_total',
      'Energy of the CPU packages since the start. source="measured": by their RAPL counters. source="modelled": computed by the named model from frequencies and CPU time.',
      sample(power?.energy?.joules),
    ),
    gauge(
      'tailgov_power_watts',
      'Power of the CPU packages, mean of about a second; the source is as that of their energy.',
      sample(power?.watts),
    ),
  ];
}

function changeFamilies({ made, refused, refusal }: ChangeStatus): readonly Metric[] {
  return [
    counter('tailgov_config_changes_total', 'Changes of config and policies that came into force while it runs.', [
      { value: made },
    ]),
    counter('tailgov_config_changes_refused_total', 'Changes that were refused; what ran before went on.', [
      { value: refused },
    ]),
    gauge(
      'tailgov_config_refused',
      '1 while the files of config and policies are bad and what ran before still runs; else 0.',
      [{ value: refusal === null ? 0 : 1 }],
    ),
  ];
}

const family =
  (type: Metric['type']) =>
  (name: string, help: string, samples: readonly Sample[]): Metric => ({ name, help, type, samples });
const counter = family('counter');
const gauge = family('gauge');
const histogram = family('histogram');
