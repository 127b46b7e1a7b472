import { describe, expect, it } from 'vitest';
import type { Health } from '../../src/core/sensor.ts';
import type { TickReport } from '../../src/core/tick-report.ts';
import { statusLine } from '../../src/daemon/status-line.ts';

/** What the line shows of a tick. */
function tick(...services: { name: string; health?: Health; quantileNs?: number | null; level?: number }[]) {
  return {
    services: services.map(({ name, health = 'active', quantileNs = 1_200_000, level = 0.45 }) => ({
      service: name,
      slo: { quantile: 0.99, latencyNs: 5_000_000, windowMs: 60_000 },
      snapshot: { health },
      observation: { quantileNs },
      appliedLevel: level,
    })),
  } as unknown as TickReport;
}

describe('statusLine()', () => {
  it('shows each service against its objective', () => {
    const last = tick({ name: 'cache' }, { name: 'web', quantileNs: null, level: 1 });
    expect(statusLine({ state: 'governing', mode: 'govern', last })).toBe(
      'governing: cache p99 1.20 ms of 5.00 ms, level 0.45; web p99 - of 5.00 ms, level 1.00',
    );
  });

  it('shows the health of a service that has no latency to show', () => {
    const last = tick({ name: 'cache', health: 'idle', level: 0 }, { name: 'web', health: 'stall', level: 1 });
    expect(statusLine({ state: 'paused', mode: 'govern', last })).toBe(
      'paused: cache idle, level 0.00; web stall, level 1.00',
    );
  });

  it('says that a dry run writes nothing', () => {
    const last = tick({ name: 'cache', health: 'idle' });
    expect(statusLine({ state: 'governing', mode: 'dry-run', last })).toMatch(/^dry run, nothing is written: cache/);
  });

  it('is the state alone before the first tick and at the end', () => {
    expect(statusLine({ state: 'governing', mode: 'govern', last: null })).toBe('governing');
    expect(statusLine({ state: 'stopping', mode: 'govern', last: tick({ name: 'cache' }) })).toBe('stopping');
  });

  it('stays a line where there are many services', () => {
    const last = tick(...['a', 'b', 'c', 'd', 'e', 'f'].map((name) => ({ name, health: 'idle' as const })));
    expect(statusLine({ state: 'governing', mode: 'govern', last })).toMatch(/; d idle, level 0\.45; 2 more$/);
  });
});
