import { rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { TickReport } from '../../src/core/tick-report.ts';
import { DaemonTelemetry } from '../../src/daemon/daemon-telemetry.ts';
import type { Config, TelemetryConfig } from '../../src/policy/load-config.ts';
import type { DaemonStatus } from '../../src/telemetry/daemon-status.ts';
import type { Logger } from '../../src/telemetry/logger.ts';
import { timesMessage } from '../../src/telemetry/metrics-times.ts';
import { mockDirectory } from '../sysfs/mock-directory.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';
import { IDENTITY, STATUS, tickOf, windowOf } from '../telemetry/metrics-support.ts';

let telemetry: DaemonTelemetry | undefined;

const inUse = { service: 'web', file: '/etc/tailgov/night.yaml', controller: 'pid', since: '', lasts: true };
const status: DaemonStatus = { ...STATUS, changes: { ...STATUS.changes, policies: [inUse] } };

/** @param sysfs where energy counters may be */
function bench(settings: Partial<TelemetryConfig> = {}, sysfs = '/nonexistent') {
  const said: string[] = [];
  const note = (level: string) => (message: string) => void said.push(`${level}: ${message}`);
  let wallMs = 10_000;
  let last: TickReport | null = null;
  const built = new DaemonTelemetry({
    config: {
      file: '/etc/tailgov/tailgov.yaml',
      telemetry: { metrics: { host: '127.0.0.1', port: 0 }, dashboard: 'auto', powerModel: 'i7-1165g7', ...settings },
    } as unknown as Config,
    log: { info: note('info'), warn: note('warn'), error: note('error') } as unknown as Logger,
    about: { ...status, sysfs },
    status: () => ({ ...status, last }),
  });
  telemetry = built;
  const snapshot = windowOf([1, 2, 9]);
  let atMs = 0;
  const tick = (forMs: number) => {
    wallMs += forMs;
    atMs += forMs;
    const { report } = tickOf([snapshot], { atMs });
    last = report;
    built.ticks([{ report, missed: 0, wallMs }], [timesMessage(snapshot)]);
  };
  const get = async (path: string) => {
    const response = await fetch(`${built.url}${path}`);
    return { status: response.status, text: await response.text() };
  };
  return { telemetry: built, said, tick, get };
}

afterEach(() => {
  telemetry?.close();
});

describe('DaemonTelemetry', () => {
  it('serves what the ticks told it: metrics, the page and its data', async () => {
    const { telemetry, said, tick, get } = bench();
    expect(telemetry.url).toBeNull();
    await telemetry.start();
    telemetry.ready(IDENTITY);
    for (let round = 0; round < 4; round++) tick(1000);
    expect(said).toEqual([
      `info: metrics at ${telemetry.url}/metrics, dashboard at ${telemetry.url}/dashboard`,
      'info: power is modelled (Intel Core i7-1165G7)',
    ]);
    const { text } = await get('/metrics');
    expect(text).toContain('tailgov_requests_total{service="web"} 12\n');
    expect(text).toContain('tailgov_policy_info{service="web",policy="night.yaml",controller="pid"} 1\n');
    expect(text).toMatch(/tailgov_energy_joules_total\{source="modelled",model="Intel Core i7-1165G7"\} [1-9]/);
    expect((await get('/dashboard')).text).toMatch(/^<!doctype html>/);
    const data = JSON.parse((await get('/dashboard/data')).text) as { seconds: unknown[]; services: unknown[] };
    expect(data.seconds).toHaveLength(3);
    expect(data.services).toMatchObject([{ name: 'web', policy: 'night.yaml' }]);
    const start = await get('/');
    expect(start.text).toContain('href="/metrics"');
    expect(start.text).toContain('href="/dashboard"');
  });

  it('tells of CPUs that come, and of another sensor, as they are now', async () => {
    const { telemetry, tick, get } = bench();
    await telemetry.start();
    telemetry.ready(IDENTITY);
    tick(1000);
    const more = { id: 'policy2', cpus: [2, 3], minKhz: 400_000, maxKhz: 3_000_000 };
    telemetry.changed({ ...IDENTITY, sensorMethod: 'fentry', domains: [...IDENTITY.domains, more] });
    tick(1000);
    const { text } = await get('/metrics');
    expect(text).toContain('tailgov_loop_info{mode="govern",sensor_method="fentry",actuator_method="cap"} 1\n');
    expect(text).toContain('tailgov_cpu_frequency_max_hertz{domain="policy2"} 3000000000\n');
    expect(text).toMatch(/tailgov_energy_joules_total\{source="modelled".*\} [1-9]/);
  });

  it('answers before the first tick', async () => {
    const { telemetry, get } = bench();
    await telemetry.start();
    expect((await get('/metrics')).text).toContain('tailgov_build_info');
    expect(JSON.parse((await get('/dashboard/data')).text)).toMatchObject({ services: [], seconds: [], policies: [] });
  });

  it('goes on without, and says so, where the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((done) => other.once('listening', done));
    const { port } = other.address() as AddressInfo;
    const { telemetry, said, tick } = bench({ metrics: { host: '127.0.0.1', port } });
    await telemetry.start();
    tick(1000);
    expect(telemetry.url).toBeNull();
    expect(said).toEqual([
      expect.stringMatching(
        /^error: no metrics and no dashboard: listen on 127\.0\.0\.1:\d+: another program does; governing goes on; telemetry\.metrics in \/etc\/tailgov\/tailgov\.yaml can name another address, or be off$/,
      ),
    ]);
    other.close();
  });

  it.each([
    ['auto', '0.0.0.0', 404],
    ['on', '0.0.0.0', 200],
    ['auto', '127.0.0.1', 200],
    ['off', '127.0.0.1', 404],
  ] as const)('with dashboard: %s on %s answers %i for the page', async (dashboard, host, expected) => {
    const { telemetry, get } = bench({ dashboard, metrics: { host, port: 0 } });
    await telemetry.start();
    expect((await get('/dashboard')).status).toBe(expected);
    expect((await get('/dashboard/data')).status).toBe(expected);
    expect((await get('/metrics')).status).toBe(200);
  });

  it('opens nothing where metrics are off, and keeps nothing open that comes after the end', async () => {
    const off = bench({ metrics: null });
    await off.telemetry.start();
    expect([off.telemetry.url, off.said]).toEqual([null, []]);
    const late = bench();
    const starting = late.telemetry.start();
    late.telemetry.close();
    await starting;
    expect(late.telemetry.url).toBeNull();
  });

  it('tells no power where there is no model', async () => {
    const { telemetry, tick, get } = bench({ powerModel: 'off' });
    await telemetry.start();
    telemetry.ready(IDENTITY);
    for (let round = 0; round < 4; round++) tick(1000);
    expect((await get('/metrics')).text).not.toMatch(/joules|watts/);
  });

  it('measures where there are counters, whatever model is known, and says where there are that do not answer', async () => {
    const mock = mockDirectory(shippedMock('intel-pstate-rapl-2s-8c'));
    try {
      const { telemetry, tick, get, said } = bench({}, mock.sysfs);
      await telemetry.start();
      telemetry.ready(IDENTITY);
      expect(said).toContain('info: power is measured (package-0, package-1)');
      tick(1000);
      // 30 W of package 1 in a second; package 0 goes round.
      writeFileSync(join(mock.sysfs, 'class/powercap/intel-rapl:1/energy_uj'), '107000000\n');
      writeFileSync(join(mock.sysfs, 'class/powercap/intel-rapl:0/energy_uj'), '9671150\n');
      tick(1000);
      expect(telemetry.power).toEqual({ source: 'measured', zones: ['package-0', 'package-1'], watts: 40 });
      const { text } = await get('/metrics');
      expect(text).toContain('tailgov_energy_joules_total{source="measured"} 40\n');
      expect(text).toContain('tailgov_power_watts{source="measured"} 40\n');
      expect(text).not.toContain('{source="modelled"');

      rmSync(join(mock.sysfs, 'class/powercap/intel-rapl:1/energy_uj'));
      tick(1000);
      tick(1000);
      expect(telemetry.power).toBeNull();
      expect(said.filter((line) => line.includes('answers no more'))).toHaveLength(1);
      const refused = bench({}, mock.sysfs);
      refused.telemetry.ready(IDENTITY);
      expect(refused.said).toEqual([
        `warn: power is not measured: read ${mock.sysfs}/class/powercap/intel-rapl:1/energy_uj: ENOENT`,
        'info: power is modelled (Intel Core i7-1165G7)',
      ]);
      refused.telemetry.close();
      telemetry.close();
    } finally {
      mock.remove();
    }
  });
});
