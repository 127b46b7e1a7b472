import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Http2Figures, Snapshot } from '../../src/core/sensor.ts';
import { unitFigures } from '../../src/sensor/figures-by-unit.ts';
import { exposition } from '../../src/telemetry/metrics-exposition.ts';
import { DaemonMetrics, type PowerFigures } from '../../src/telemetry/metrics.ts';
import { IDENTITY, SLO, snapshotOf, STATUS, tickOf, windowOf } from './metrics-support.ts';

const POWER: PowerFigures = {
  origin: { source: 'modelled', model: 'a model' },
  energy: { joules: 12.5, atMs: 0 },
  watts: 3,
};

function bench() {
  const metrics = new DaemonMetrics({
    version: '1.2.3',
    mode: 'govern',
    startedAtMs: 1_000,
    policyOf: (service) => ({ policy: `${service}.yaml`, controller: 'pid' }),
  });
  metrics.identify(IDENTITY);
  return {
    metrics,
    tick: (snapshots: readonly Snapshot[], overrides: Parameters<typeof tickOf>[1] = {}, missed = 0) => {
      const { report, times } = tickOf(snapshots, overrides);
      metrics.tick(report, missed, times, 5_000);
    },
    /** By series, as Prometheus sees them. */
    scrape: (status = STATUS, power: PowerFigures | null = POWER) =>
      new Map(
        exposition(metrics.families(status, power))
          .split('\n')
          .filter((line) => line !== '' && !line.startsWith('#'))
          .map((line): [string, number] => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
      ),
    families: () => metrics.families(STATUS, POWER),
  };
}

describe('DaemonMetrics', () => {
  it('counts the ticks that nobody told it of, by their numbers', () => {
    const { tick, scrape } = bench();
    for (const number of [7, 8, 12, 13]) tick([snapshotOf(1, 1e6)], { tick: number });
    const series = scrape();
    expect(series.get('tailgov_ticks_total')).toBe(7);
    expect(series.get('tailgov_ticks_unreported_total')).toBe(3);
  });

  it('tells turns from streams where a service speaks HTTP/2, whichever of them are more', () => {
    const { tick, scrape, metrics } = bench();
    const seen = (unit: 'turn' | 'stream', requests: number, more: Partial<Http2Figures>) => {
      const own = windowOf(Array<number>(requests).fill(1), { unit });
      const otherUnit = unitFigures(unit === 'turn' ? 'stream' : 'turn', windowOf([1, 1]));
      const figures = { turnConnections: 0, streamConnections: 0, lostConnections: 0, streaming: 0 };
      return { ...own, http2: { ...figures, firstResponse: own.latency, otherUnit, ...more } };
    };
    tick([windowOf([1])]);
    expect(scrape().get('tailgov_requests_by_unit_total{service="web",unit="turn"}')).toBeUndefined();
    expect(metrics.http2).toEqual({});
    tick([seen('turn', 5, { turnConnections: 3, streamConnections: 1 })]);
    tick([seen('stream', 7, { streamConnections: 2, lostConnections: 1, streaming: 4 })]);
    const series = scrape();
    expect(series.get('tailgov_request_unit{service="web",unit="stream"}')).toBe(1);
    expect(series.get('tailgov_requests_by_unit_total{service="web",unit="turn"}')).toBe(7);
    expect(series.get('tailgov_requests_by_unit_total{service="web",unit="stream"}')).toBe(9);
    expect(series.get('tailgov_connections_by_unit_total{service="web",unit="turn"}')).toBe(3);
    expect(series.get('tailgov_connections_by_unit_total{service="web",unit="stream"}')).toBe(3);
    expect(series.get('tailgov_connections_lost_total{service="web"}')).toBe(1);
    expect(series.get('tailgov_streaming_total{service="web"}')).toBe(4);
    expect(metrics.http2['web']).toEqual({
      ...{ turnConnections: 3, streamConnections: 3, lostConnections: 1 },
      ...{ turns: 7, streams: 9, streaming: 4 },
    });
  });

  it.each([[null], [1]])('keeps its buckets in order where the objective is tightened, told %s', (thenMs) => {
    const { metrics, scrape } = bench();
    const told = (latenciesMs: readonly number[], latencyNs: number) => {
      const { report, times } = tickOf([windowOf(latenciesMs)]);
      const services = report.services.map((service) => ({ ...service, slo: { ...SLO, latencyNs } }));
      metrics.tick({ ...report, services }, 0, times, 5_000);
    };
    const counts = () =>
      [...scrape()]
        .flatMap(([series, count]) => {
          const le = /^tailgov_request_latency_seconds_bucket\{service="web",le="([^+]+)"\}$/.exec(series)?.[1];
          return le === undefined ? [] : [{ le: Number(le), count }];
        })
        .sort((a, b) => a.le - b.le);
    told(Array<number>(10).fill(4), 5_000_000);
    expect(counts().find(({ le }) => le === 0.005)?.count).toBe(10);
    told(thenMs === null ? [] : [thenMs], 2_000_000);
    expect(counts().find(({ le }) => le === 0.002)?.count).toBe(thenMs === null ? 0 : 1);
    const inOrder = counts().map(({ count }) => count);
    expect(inOrder).toEqual(inOrder.toSorted((a, b) => a - b));
  });

  it('adds up what each tick saw of each service', () => {
    const { tick, scrape } = bench();
    tick([windowOf([1, 2, 7], { abandoned: 1, unsolicited: 2, dropped: 3 }), snapshotOf(0, 0, { target: 'db' })]);
    tick([windowOf([6], { inFlight: 4, oldestInFlightNs: 1.5e9 }), snapshotOf(2, 1e6, { target: 'db' })]);
    const series = scrape();
    expect(series.get('tailgov_requests_total{service="web"}')).toBe(4);
    expect(series.get('tailgov_requests_over_slo_total{service="web"}')).toBe(2);
    expect(series.get('tailgov_requests_abandoned_total{service="web"}')).toBe(1);
    expect(series.get('tailgov_unsolicited_sends_total{service="web"}')).toBe(2);
    expect(series.get('tailgov_sensor_dropped_events_total{service="web"}')).toBe(3);
    expect(series.get('tailgov_requests_in_flight{service="web"}')).toBe(4);
    expect(series.get('tailgov_oldest_request_in_flight_seconds{service="web"}')).toBe(1.5);
    expect(series.get('tailgov_request_latency_seconds_count{service="web"}')).toBe(4);
    expect(series.get('tailgov_request_latency_seconds_sum{service="web"}')).toBeCloseTo(0.016, 9);
    expect(series.get('tailgov_request_latency_seconds_bucket{service="web",le="0.005"}')).toBe(2);
    expect(series.get('tailgov_requests_total{service="db"}')).toBe(2);
    expect(series.get('tailgov_service_health{service="db",state="active"}')).toBe(1);
    expect(series.get('tailgov_service_health{service="db",state="silence"}')).toBe(0);
    expect(series.get('tailgov_slo_latency_seconds{service="web"}')).toBe(0.005);
    expect(series.get('tailgov_slo_target_ratio{service="web"}')).toBe(0.99);
    expect(series.get('tailgov_policy_info{service="web",policy="web.yaml",controller="pid"}')).toBe(1);
  });

  it('tells of the loop and of what the kernel made of its writes', () => {
    const { tick, scrape } = bench();
    tick([windowOf([1])], { faults: ['lost', 'again'] }, 3);
    tick([windowOf([1])], { alarms: [{ target: 'web', kind: 'late', answeredMs: 0.75 }] }, 4);
    const series = scrape({ ...STATUS, state: 'paused', changes: { ...STATUS.changes, made: 2, refused: 1 } });
    expect(series.get('tailgov_ticks_total')).toBe(2);
    expect(series.get('tailgov_ticks_missed_total')).toBe(4);
    expect(series.get('tailgov_faults_total')).toBe(2);
    expect(series.get('tailgov_tick_duration_seconds_sum')).toBeCloseTo(0.001, 9);
    expect(series.get('tailgov_alarms_total{service="web",kind="late"}')).toBe(1);
    expect(series.get('tailgov_alarms_total{service="web",kind="waiting"}')).toBe(0);
    expect(series.get('tailgov_alarm_answer_seconds_sum')).toBeCloseTo(0.00075, 9);
    expect(series.get('tailgov_frequency_applications_total{outcome="applied"}')).toBe(2);
    expect(series.get('tailgov_frequency_applications_total{outcome="refused"}')).toBe(0);
    expect(series.get('tailgov_control_writes_total')).toBe(2);
    expect(series.get('tailgov_cpu_frequency_hertz{domain="policy0"}')).toBe(1e9);
    expect(series.get('tailgov_cpu_frequency_max_hertz{domain="policy0"}')).toBe(2e9);
    expect(series.get('tailgov_paused')).toBe(1);
    expect(series.get('tailgov_config_changes_total')).toBe(2);
    expect(series.get('tailgov_config_changes_refused_total')).toBe(1);
    expect(series.get('tailgov_last_tick_timestamp_seconds')).toBe(5);
    expect(series.get('tailgov_energy_joules_total{source="modelled",model="a model"}')).toBe(12.5);
  });

  it('is silent where it does not know: no service before the first tick, no power without a model', () => {
    const { scrape, tick } = bench();
    expect([...scrape().keys()].filter((name) => name.includes('service='))).toEqual([]);
    tick([snapshotOf(0, 0, { busiestThreadRatio: null })]);
    const series = scrape(STATUS, null);
    expect([...series.keys()].filter((name) => /energy|power|utilization/.test(name))).toEqual([]);
  });

  it('forgets a service that is governed no longer, and keeps the sums of the others', () => {
    const { tick, scrape } = bench();
    tick([windowOf([1]), snapshotOf(2, 1e6, { target: 'db' })]);
    tick([windowOf([1])]);
    expect([...scrape().keys()].filter((name) => name.includes('db'))).toEqual([]);
    expect(scrape().get('tailgov_requests_total{service="web"}')).toBe(2);
  });

  it('never lets a counter or a histogram fall, whatever the sensor corrects afterwards', () => {
    const latencyMs = fc.double({ min: 0.01, max: 20, noNaN: true });
    const window = fc.record({ latencies: fc.array(latencyMs, { maxLength: 20 }), movedOver: fc.nat({ max: 3 }) });
    fc.assert(
      fc.property(fc.array(window, { maxLength: 15 }), (windows) => {
        const { tick, scrape } = bench();
        let before = new Map<string, number>();
        for (const { latencies, movedOver } of windows) {
          const seen = windowOf(latencies);
          // A reply that went on: its request is over the SLO now, though it was counted below before.
          tick([{ ...seen, overSlo: seen.overSlo + movedOver }]);
          const now = scrape();
          for (const [name, value] of now) {
            if (!/_(total|sum|count|bucket)\b/.test(name) || name.startsWith('process_')) continue;
            expect(value, name).toBeGreaterThanOrEqual(before.get(name) ?? 0);
          }
          const buckets = [...now]
            .filter(([name]) => name.startsWith('tailgov_request_latency_seconds_bucket'))
            .map(([, value]) => value);
          expect(buckets).toEqual([...buckets].sort((a, b) => a - b));
          before = now;
        }
      }),
      { numRuns: 50 },
    );
  });

  it('has a bounded number of series for a service, and no label that a client could fill', () => {
    const { tick, scrape } = bench();
    tick([windowOf([1])]);
    const names = [...scrape().keys()];
    expect(names.filter((name) => name.includes('service="web"')).length).toBeLessThan(130);
    const labels = new Set(names.flatMap((name) => [...name.matchAll(/[{,](\w+)=/g)].map(([, label]) => label)));
    expect([...labels].sort()).toEqual(
      'actuator_method controller domain kind le mode model node_version outcome policy sensor_method service source state unit version'.split(
        ' ',
      ),
    );
  });

  it('tells nothing of this machine that is nobody else’s business', () => {
    const { tick, families } = bench();
    tick([windowOf([1])], { faults: ['read /etc/shadow failed'] });
    const text = exposition(families());
    expect(text).not.toMatch(/\/(etc|sys|run|tmp)\//);
    expect(text).not.toContain(String(STATUS.pid));
  });

  it('says of everything what it is, in a sentence, and names it as Prometheus does', () => {
    const { tick, families } = bench();
    tick([windowOf([1])]);
    for (const { name, help, type } of families()) {
      expect(help, name).toMatch(/^\S.{10,}\.$/);
      expect(name, name).toMatch(/^(tailgov|process)_[a-z_]+$/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
    }
    expect(new Set(families().map(({ name }) => name)).size).toBe(families().length);
  });

  it('takes the bound of the SLO for one of the histogram’s', () => {
    const { tick, scrape } = bench();
    tick([windowOf([4.99, 5, 5.01])]);
    expect(SLO.latencyNs).toBe(5_000_000);
    expect(scrape().get('tailgov_request_latency_seconds_bucket{service="web",le="0.005"}')).toBe(2);
  });
});
