import { describe, expect, test } from 'vitest';
import { buildReport } from '../../../src/study/report/build-report.ts';
import { escapeHtml, Html, jsonForScript, markup } from '../../../src/study/report/html.ts';
import type { ReportData } from '../../../src/study/report/report-data.ts';

const HOSTILE = `</script><img src=x onerror="alert('&')">`;
const data: ReportData = {
  title: HOSTILE,
  verdict: HOSTILE,
  verdictTone: 'mixed',
  introduction: [HOSTILE],
  keyFigures: [{ label: HOSTILE, value: HOSTILE, note: HOSTILE }],
  runs: [HOSTILE, 'b', 'c'],
  table: { title: HOSTILE, columns: ['', HOSTILE], rows: [[HOSTILE, HOSTILE]], note: HOSTILE },
  charts: [
    {
      title: HOSTILE,
      note: HOSTILE,
      xLabel: HOSTILE,
      yLabel: HOSTILE,
      xScale: 'linear',
      yScale: 'log',
      series: [{ label: HOSTILE, run: 2, style: 'line', x: [1, 2], y: [1, null] }],
      limits: [{ label: HOSTILE, axis: 'y', value: 1 }],
    },
  ],
  details: [{ title: HOSTILE, columns: [HOSTILE], rows: [[HOSTILE]] }],
  facts: [{ title: HOSTILE, items: [{ label: HOSTILE, value: HOSTILE }] }],
  footer: HOSTILE,
};

describe('buildReport()', () => {
  const page = buildReport(data);

  test('escapes every text', () => {
    expect(page).not.toContain('<img');
    // One script of data, uPlot, and the one that draws.
    expect(page.match(/<script[ >]/g)).toHaveLength(3);
    expect(page.match(/<\/script>/g)).toHaveLength(3);
    expect(page).toContain(escapeHtml(HOSTILE));
  });

  test('carries its data as JSON that reads back', () => {
    const json = /<script type="application\/json" id="charts">(.*?)<\/script>/s.exec(page)![1]!;
    expect(JSON.parse(json)).toEqual({ runs: data.runs, charts: data.charts });
  });

  test('loads nothing', () => {
    // Markup alone: what scripts and texts hold loads nothing by itself.
    const tags = page
      .replace(/<script.*?<\/script>/gs, '')
      .match(/<[a-z][^>]*>/gi)!
      .map((tag) => tag.replace(/"[^"]*"/g, `""`));
    expect(tags.length).toBeGreaterThan(20);
    expect(tags.filter((tag) => /^<(link|img|iframe|object|embed|base)\b|\s(src|href)=/i.test(tag))).toEqual([]);
    expect(/<style>.*?<\/style>/s.exec(page)![0]).not.toMatch(/@import|url\(/i);
    expect(page).toContain(`content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"`);
    expect(page).toContain('var uPlot=');
  });

  test('knows light, dark and paper', () => {
    expect(page).toContain('@media (prefers-color-scheme: dark)');
    expect(page).toContain('@media print');
  });
});

describe('markup``', () => {
  test('escapes values, keeps HTML, joins lists', () => {
    const items = ['<a>', new Html('<b>'), ['&', 1]];
    expect(markup`[${items}]`.text).toBe('[&lt;a&gt;<b>&amp;1]');
  });
});

test('jsonForScript() leaves nothing that could end the element', () => {
  const { text } = jsonForScript(HOSTILE);
  expect(text).not.toContain('<');
  expect(JSON.parse(text)).toBe(HOSTILE);
});
