import { describe, expect, it } from 'vitest';
import { ComplianceWindow } from '../../src/loop/compliance-window.ts';
import { SLO } from './support.ts';

describe('ComplianceWindow', () => {
  it('is met up to the tolerated share and missed beyond it', () => {
    const window = new ComplianceWindow(SLO);
    expect(window.add(100, 1000, 10)).toMatchObject({ requests: 1000, overSlo: 10, met: true });
    expect(window.add(100, 0, 1)).toMatchObject({ overSlo: 11, met: false });
  });

  it('is met when nothing happened', () => {
    expect(new ComplianceWindow(SLO).add(100, 0, 0)).toMatchObject({ requests: 0, met: true });
  });

  it('forgets what is older than the window, to a sixtieth', () => {
    const window = new ComplianceWindow(SLO);
    window.add(1000, 100, 100);
    let seen = window.add(1000, 100, 0);
    for (let second = 0; second < 58; second++) seen = window.add(1000, 100, 0);
    expect(seen).toMatchObject({ windowMs: 60_000, requests: 6000, overSlo: 100, met: false });
    expect(window.add(1000, 100, 0)).toMatchObject({ windowMs: 60_000, requests: 6000, overSlo: 0, met: true });
  });

  it('gathers short ticks into slices', () => {
    const window = new ComplianceWindow(SLO);
    let seen = window.add(100, 1, 0);
    for (let tick = 0; tick < 5_000; tick++) seen = window.add(100, 1, 0);
    expect(seen.windowMs).toBeGreaterThan(59_000);
    expect(seen.windowMs).toBeLessThanOrEqual(60_000);
    expect(seen.requests).toBe(seen.windowMs / 100);
  });

  it('reaches back no further than the window where ticks are longer than a sixtieth of it', () => {
    const long = new ComplianceWindow(SLO);
    long.add(10_000, 100, 100);
    let seen = long.add(10_000, 100, 0);
    for (let tick = 0; tick < 4; tick++) seen = long.add(10_000, 100, 0);
    expect(seen).toMatchObject({ windowMs: 60_000, requests: 600, overSlo: 100, met: false });
    expect(long.add(10_000, 100, 0)).toMatchObject({ windowMs: 60_000, requests: 600, overSlo: 0, met: true });

    const short = new ComplianceWindow({ ...SLO, windowMs: 1000 });
    for (let tick = 0; tick < 100; tick++) seen = short.add(100, 1, 0);
    expect(seen).toMatchObject({ windowMs: 1000, requests: 10 });
    expect(short.add(5000, 50, 1)).toMatchObject({ windowMs: 5000, requests: 50, overSlo: 1 });
  });
});
