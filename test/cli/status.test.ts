import { describe, expect, it } from 'vitest';
import { statusLines } from '../../src/cli/status.ts';
import { STATUS, tickOf, windowOf } from '../telemetry/metrics-support.ts';

describe('statusLines()', () => {
  const { report } = tickOf([windowOf([1])]);

  it('labels power by where it comes from, and leaves it out where it is not known', () => {
    const zones = ['package-0', 'package-1'];
    const measured = statusLines({ ...STATUS, last: report, power: { watts: 31.25, source: 'measured', zones } });
    expect(measured).toContain('  power   31.3 W measured (package-0, package-1)');
    const modelled = statusLines({ ...STATUS, last: report, power: { watts: 8, source: 'modelled', model: 'a CPU' } });
    expect(modelled).toContain('  power   8.0 W modelled (a CPU)');
    expect(statusLines({ ...STATUS, last: report }).join('\n')).not.toContain('power');
  });

  it('tells how the requests and connections of a service are counted that speaks HTTP/2', () => {
    const web = {
      ...{ turnConnections: 2, streamConnections: 3, lostConnections: 1 },
      ...{ turns: 5, streams: 7, streaming: 4 },
    };
    expect(statusLines({ ...STATUS, last: report, http2: { web } })).toContain(
      '  http2   connections: 3 by stream, 2 by turn, 1 lost; requests: 7 streams, 5 turns; 4 streaming',
    );
    expect(statusLines({ ...STATUS, last: report }).join('\n')).not.toContain('http2');
  });

  it.each([
    [{ lasts: true }, ''],
    [{ lasts: false }, ', until a restart'],
    [{ lasts: false, endsAt: '2026-01-01T00:01:00.000Z' }, ', until 2026-01-01T00:01:00.000Z unless that is put off'],
  ])('tells how long a policy governs of which is known %j', (known, expected) => {
    const policy = { service: 'web', file: '/b.yaml', controller: 'pid', since: '2026-01-01T00:00:00.000Z', ...known };
    const changes = { ...STATUS.changes, policies: [policy] };
    expect(statusLines({ ...STATUS, changes, last: report })).toContain(
      `  policy  /b.yaml since 2026-01-01T00:00:00.000Z${expected}`,
    );
  });

  it('tells what disturbs', () => {
    const control = 'devices/system/cpu/cpufreq/policy0/scaling_cur_freq';
    const disturbances = [{ kind: 'limit', control, detail: 'CPU 0 was throttled by heat' }] as const;
    const last = { ...report, applied: { ...report.applied, disturbances } };
    expect(statusLines({ ...STATUS, last }).join('\n')).toMatch(
      /^ {2}limit +devices\/.*policy0\/scaling_cur_freq: CPU 0 was throttled by heat$/m,
    );
  });
});
