import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Bench, configOf, readyPolicy, ROOT, until } from './support/daemon.ts';
import { Prometheus } from './support/prometheus.ts';
import { RawClient } from './support/raw-client.ts';
import { startRedis, type Server } from './support/servers.ts';

const RULES = join(ROOT, 'deploy/prometheus/tailgov-rules.yml');
const RULE_TESTS = join(ROOT, 'deploy/prometheus/tailgov-rules.test.yml');
/** Primes: what is counted must come out exactly. */
const FAST_REQUESTS = 1_009;
const SLOW_REQUESTS = 13;
const SLOW_S = 0.15;
const PAUSE_MS = 4;

let redis: Server;
let bench: Bench;
let prometheus: Prometheus;
let metricsUrl: string;

const scrape = async () => (await fetch(`${metricsUrl}/metrics`)).text();
const promtool = (args: readonly string[], input?: string) =>
  spawnSync('promtool', args, { encoding: 'utf8', ...(input === undefined ? {} : { input }) });

/** The value of one series in the text that was fetched. */
function valueIn(text: string, series: string): number {
  const line = text.split('\n').find((each) => each.startsWith(`${series} `));
  if (line === undefined) throw new Error(`no ${series} in\n${text}`);
  return Number(line.slice(series.length));
}

async function load(): Promise<void> {
  const client = await RawClient.connect(redis.port);
  for (let request = 0; request < FAST_REQUESTS; request++) {
    await client.exchange('PING\r\n', '+PONG\r\n'.length);
    if (request % Math.floor(FAST_REQUESTS / SLOW_REQUESTS) === 0 && request / 77 < SLOW_REQUESTS) {
      await client.exchange(`BLPOP nothing ${SLOW_S}\r\n`, '*-1\r\n'.length);
    }
    await sleep(PAUSE_MS);
  }
  await client.close();
}

beforeAll(async () => {
  redis = await startRedis();
  const telemetry = "telemetry: { metrics: '127.0.0.1:0', powerModel: i7-1165g7 }\n";
  bench = new Bench(configOf({ name: 'cache', port: redis.port, latency: '100ms' }, telemetry));
  bench.start();
  await bench.governing();
  const { metrics } = await bench.client.status();
  metricsUrl = metrics!;
  prometheus = await Prometheus.start(new URL(metricsUrl).host, RULES);
  await until('Prometheus has fetched once', async () => (await prometheus.value('up{job="tailgov"}')) === 1);
  await load();
  await bench.client.swapPolicy('cache', readyPolicy('threshold'), false);
  await bench.client.pause();
  const hertz = 1000 * Number(bench.controls()['policy0/scaling_max_freq']);
  await until(
    'Prometheus knows all that was counted, the pause and what came of it',
    async () =>
      (await prometheus.value('tailgov_requests_total')) === FAST_REQUESTS + SLOW_REQUESTS &&
      (await prometheus.value('tailgov_paused')) === 1 &&
      (await prometheus.value('tailgov_cpu_frequency_hertz{domain="policy0"}')) === hertz,
  );
  // Two rounds of the rules over that.
  const knownAtS = Date.now() / 1000;
  const evaluatedAtS = () => prometheus.value('timestamp(tailgov:slo_burn:rate5m)');
  await until('the rules have seen it', async () => ((await evaluatedAtS()) ?? 0) > knownAtS + 1);
}, 120_000);

afterAll(async () => {
  await prometheus?.stop();
  await bench?.close();
  await redis?.stop();
});

describe('the metrics', () => {
  it('are what promtool wants metrics to be', async () => {
    const { status, stdout, stderr } = promtool(['check', 'metrics'], await scrape());
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  it('count every request, and those over the SLO, exactly', async () => {
    const text = await scrape();
    const requests = FAST_REQUESTS + SLOW_REQUESTS;
    const over = valueIn(text, 'tailgov_requests_over_slo_total{service="cache"}');
    expect(valueIn(text, 'tailgov_requests_total{service="cache"}')).toBe(requests);
    expect(over).toBeGreaterThanOrEqual(SLOW_REQUESTS);
    expect(valueIn(text, 'tailgov_request_latency_seconds_count{service="cache"}')).toBe(requests);
    expect(valueIn(text, 'tailgov_request_latency_seconds_bucket{service="cache",le="0.1"}')).toBe(requests - over);
    expect(valueIn(text, 'tailgov_request_latency_seconds_sum{service="cache"}')).toBeGreaterThan(
      SLOW_REQUESTS * SLOW_S,
    );
  });
});

describe('a Prometheus that fetches them', () => {
  it('finds what was counted, and the burn of the error budget that follows from it', async () => {
    const over = valueIn(await scrape(), 'tailgov_requests_over_slo_total{service="cache"}');
    expect(await prometheus.value('tailgov_requests_over_slo_total')).toBe(over);
    const burn = over / (FAST_REQUESTS + SLOW_REQUESTS) / 0.01;
    // rate() reaches beyond the samples that it has, by some tenths in so short a time.
    const recorded = await prometheus.value('tailgov:slo_burn:rate5m');
    expect(recorded! / burn).toBeGreaterThan(0.5);
    expect(recorded! / burn).toBeLessThan(2);
  });

  it('finds the frequency that the control file holds', async () => {
    const khz = Number(bench.controls()['policy0/scaling_max_freq']);
    expect(await prometheus.value('tailgov_cpu_frequency_hertz{domain="policy0"}')).toBe(khz * 1000);
    const seen = await prometheus.history('tailgov_cpu_frequency_hertz{domain="policy0"}');
    const hertz = seen[0]!.values.map(([, value]) => Number(value));
    // It was slowed down while little was to be done, and is at full speed now that it is paused.
    expect(Math.min(...hertz)).toBeLessThan(Math.max(...hertz));
    expect(hertz.at(-1)).toBe(Math.max(...hertz));
  });

  it('finds modelled energy that grows by what modelled power says', async () => {
    const joules = await prometheus.history('tailgov_energy_joules_total');
    expect(joules).toHaveLength(1);
    expect(joules[0]!.metric).toMatchObject({ source: 'modelled', model: 'Intel Core i7-1165G7' });
    const values = joules[0]!.values.map(([, value]) => Number(value));
    expect(values).toEqual([...values].sort((a, b) => a - b));
    // Over the samples themselves: rate() would spread these few seconds over its whole range.
    const [firstS, firstJoules] = joules[0]!.values[0]!;
    const [lastS, lastJoules] = joules[0]!.values.at(-1)!;
    const watts = (Number(lastJoules) - Number(firstJoules)) / (lastS - firstS);
    // The model's package draws between 4 W asleep and 90 W with all cores at full speed.
    expect(watts).toBeGreaterThan(3);
    expect(watts).toBeLessThan(100);
  });

  it('sees the pause and the policy that was swapped in', async () => {
    expect(await prometheus.value('tailgov_paused')).toBe(1);
    expect(await prometheus.value('tailgov_policy_info{policy="threshold.yaml",controller="threshold"}')).toBe(1);
    const policies = await prometheus.history('tailgov_policy_info');
    expect(policies.map(({ metric }) => metric['policy']).sort()).toEqual(['pid.yaml', 'threshold.yaml']);
  });

  it('never saw a counter or a histogram fall', async () => {
    const series = await prometheus.history('{__name__=~"tailgov_.+_(total|bucket|count|sum)"}');
    expect(series.length).toBeGreaterThan(100);
    for (const { metric, values } of series) {
      const seen = values.map(([, value]) => Number(value));
      expect(seen, JSON.stringify(metric)).toEqual([...seen].sort((a, b) => a - b));
    }
  });
});

describe('the rules', () => {
  it('are sound, and their alerts tested', () => {
    const check = promtool(['check', 'rules', RULES]);
    expect(check.status, check.stdout + check.stderr).toBe(0);
    const test = promtool(['test', 'rules', RULE_TESTS]);
    expect(test.status, test.stdout + test.stderr).toBe(0);
    const config = promtool(['check', 'config', join(ROOT, 'deploy/prometheus/prometheus.yml')]);
    expect(config.status, config.stdout + config.stderr).toBe(0);
  });

  it('have a test for every alert', () => {
    const alerts = [...readFileSync(RULES, 'utf8').matchAll(/- alert: (\w+)/g)].map(([, name]) => name!);
    const tests = readFileSync(RULE_TESTS, 'utf8');
    const fired = [...tests.matchAll(/alertname: (\w+)\n\s+exp_alerts:\n/g)].map(([, name]) => name!);
    expect(alerts.length).toBeGreaterThan(10);
    expect(alerts.filter((name) => !fired.includes(name))).toEqual([]);
  });

  it('ask for metrics that there are', async () => {
    const names = new Set([...(await scrape()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
    const asked = [...readFileSync(RULES, 'utf8').matchAll(/\btailgov_[a-z0-9_]+/g)].map(([name]) => name);
    expect(asked.length).toBeGreaterThan(10);
    const base = (name: string) => name.replace(/_(bucket|sum|count)$/, '');
    expect(asked.filter((name) => !names.has(name) && !names.has(base(name)))).toEqual([]);
  });
});

describe('the Grafana dashboard', () => {
  const dashboard = JSON.parse(readFileSync(join(ROOT, 'deploy/grafana/tailgov.json'), 'utf8')) as GrafanaDashboard;
  /** As Grafana fills them in. */
  const filledIn = (query: string) =>
    query.replaceAll('$__rate_interval', '15s').replaceAll('$instance', '.+').replaceAll('$service', '.+');
  const queries = [...dashboard.panels.flatMap(({ targets }) => targets), ...dashboard.annotations.list].map(
    ({ expr }) => expr,
  );

  it('has a query in every panel', () => {
    expect(dashboard.panels.length).toBeGreaterThan(15);
    expect(dashboard.panels.filter(({ targets }) => targets.length === 0)).toEqual([]);
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each(queries)('gets data for %s', async (query) => {
    const series = await prometheus.history(filledIn(query));
    const points = series.flatMap(({ values }) => values.map(([, value]) => Number(value)));
    expect(points.filter((value) => Number.isFinite(value)).length).toBeGreaterThan(0);
  });

  it('finds values for its variables', async () => {
    for (const { query, type } of dashboard.templating.list) {
      if (type !== 'query') continue;
      const [, metric, label] = /^label_values\((.+), (\w+)\)$/.exec((query as { query: string }).query)!;
      const series = await prometheus.history(filledIn(metric!));
      expect(series.every((each) => each.metric[label!] !== undefined)).toBe(true);
      expect(series.length).toBeGreaterThan(0);
    }
  });
});

interface GrafanaDashboard {
  readonly panels: readonly { readonly id: number; readonly targets: readonly { readonly expr: string }[] }[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly type: string; readonly query: unknown }[] };
}
