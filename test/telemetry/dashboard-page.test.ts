import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { corei7_1165g7 } from '../../src/core/power-model.ts';
import { dashboardData } from '../../src/telemetry/dashboard-data.ts';
import { DashboardHistory } from '../../src/telemetry/dashboard-history.ts';
import { dashboardPage } from '../../src/telemetry/dashboard-page.ts';
import { STATUS, tickOf, windowOf } from './metrics-support.ts';

const page = dashboardPage();
const html = page.body(new URLSearchParams());
const policy = page.headers!['content-security-policy']!;

describe('the dashboard page', () => {
  it('needs nothing but itself', () => {
    expect(html).not.toMatch(/<(script|link|img|iframe)[^>]*(src|href)="(?!data:)/);
    expect(html).not.toMatch(/@import|url\((?!data:)/);
    expect(html).toContain('uPlot');
  });

  it('may run and style what is in it, and load its data, and nothing else', () => {
    const directives = new Map(policy.split('; ').map((text) => [text.split(' ')[0]!, text.split(' ').slice(1)]));
    const hashes = (tag: string) =>
      [...html.matchAll(new RegExp(`<${tag}>(.*?)</${tag}>`, 'gs'))].map(
        ([, text]) => `'sha256-${createHash('sha256').update(text!).digest('base64')}'`,
      );
    expect(hashes('script')).toHaveLength(2);
    expect(directives.get('script-src')).toEqual(hashes('script'));
    expect(directives.get('style-src')).toEqual(hashes('style'));
    expect(directives.get('default-src')).toEqual(["'none'"]);
    expect(directives.get('connect-src')).toEqual(["'self'"]);
    expect(directives.get('frame-ancestors')).toEqual(["'none'"]);
    expect(policy).not.toContain('unsafe');
  });

  it('has a place for everything that its script looks for', () => {
    const ids = new Set([...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
    const wanted = new Set([...html.matchAll(/byId\('([^']+)'\)/g)].map(([, id]) => id));
    expect(wanted.size).toBeGreaterThan(5);
    expect([...wanted].filter((id) => !ids.has(id))).toEqual([]);
  });
});

describe('the data of the dashboard', () => {
  const policyOf = () => ({ policy: 'web.yaml', controller: 'pid' });
  const history = new DashboardHistory(policyOf);
  const { report, times } = tickOf([windowOf([1, 9])], { faults: ['read /etc/secret failed'] });
  for (const atMs of [7_000, 8_000, 9_000]) history.tick(report, 0, times, null, atMs);
  const status = { ...STATUS, startedAt: '1970-01-01T00:00:05.000Z' };
  const source = {
    status,
    last: report,
    power: { source: 'modelled', model: corei7_1165g7.name } as const,
    powerModel: corei7_1165g7,
    policyOf,
    history,
  };
  const ask = (query: Record<string, string>) => dashboardData(source, new URLSearchParams(query));

  it('holds what the page draws', () => {
    expect(ask({})).toMatchObject({
      state: 'governing',
      sensorMethod: 'tracepoint',
      power: { source: 'modelled', of: 'Intel Core i7-1165G7' },
      services: [
        { name: 'web', health: 'active', policy: 'web.yaml', controller: 'pid', reason: 'because', failed: null },
      ],
      policies: [{ policy: 'web.yaml' }],
      seconds: [{ at: 7 }, { at: 8 }],
      decisions: [{ at: 7 }],
    });
  });

  it('is what is new, to who has the rest from this daemon', () => {
    const seconds = (query: Record<string, string>) => ask(query).seconds.map(({ at }) => at);
    expect(seconds({ after: '7', started: '5000' })).toEqual([8]);
    expect(seconds({ after: '8', started: '5000' })).toEqual([]);
    expect(seconds({ after: '7', started: '4000' })).toEqual([7, 8]);
    expect(seconds({ after: 'x', started: '5000' })).toEqual([7, 8]);
  });

  it('names no file, process or fault', () => {
    expect(JSON.stringify(ask({}))).not.toMatch(/\/etc|\/sys|4711|secret/);
  });
});
