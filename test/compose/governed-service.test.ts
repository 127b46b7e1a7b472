import { describe, expect, it } from 'vitest';
import { governedService } from '../../src/compose/governed-service.ts';
import { controllers } from '../../src/controller/registry.ts';
import { policyOf } from '../../src/policy/load-policy.ts';
import { parseYaml } from '../../src/policy/yaml-file.ts';

const serviceOf = (text: string) => ({
  name: 'web',
  target: { ports: [80] },
  slo: { quantile: 0.99, latencyNs: 5_000_000, windowMs: 60_000 },
  policy: policyOf(parseYaml('policy.yaml', text), controllers),
  configuredPolicy: 'policy.yaml',
});

describe('governedService()', () => {
  it('gives the loop the policy’s law: controller, interval, range, slew limits and fallback', () => {
    const service = serviceOf(
      'controller: pid\ninterval: 200ms\nlevel: { min: 0.2, rise: 2/s }\nfallback: { controller: fixed }\n',
    );
    const governed = governedService(service);
    expect(governed).toMatchObject({
      name: 'web',
      intervalMs: 200,
      limits: { min: 0.2, max: 1 },
      slew: { risePerS: 2 },
      controller: service.policy.controller,
      fallback: service.policy.fallback!.controller,
    });
    expect(governed.lawAt).toBeUndefined();
  });

  it('follows the schedule, tells where it is, and gives the same law while nothing fires', () => {
    const { policy, ...rest } = serviceOf(`controller: pid
level: { min: 0.2 }
schedule:
  - { cron: "0 22 * * *", timeZone: UTC, set: { level: { max: 0.5 }, interval: 1s } }
  - { cron: "0 6 * * *", timeZone: UTC, set: { parameters: { setpoint: 0.6 } } }
`);
    const { lawAt } = governedService({ ...rest, policy });
    const night = lawAt!(Date.parse('2026-05-05T23:00:00Z'));
    expect(night).toMatchObject({
      intervalMs: 1000,
      limits: { min: 0.2, max: 0.5 },
      controller: policy.controller,
      schedule: {
        rule: '0 22 * * *',
        since: '2026-05-05T22:00:00.000Z',
        next: { rule: '0 6 * * *', at: '2026-05-06T06:00:00.000Z' },
      },
    });
    expect(lawAt!(Date.parse('2026-05-06T05:59:59Z'))).toBe(night);
    const day = lawAt!(Date.parse('2026-05-06T06:00:00Z'));
    expect(day).toMatchObject({ intervalMs: 100, limits: { max: 1 }, schedule: { rule: '0 6 * * *' } });
    expect(day.controller).not.toBe(policy.controller);
  });
});
