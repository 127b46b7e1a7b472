import { pageAsset } from '../../telemetry/page-asset.ts';
import { Html, jsonForScript, markup } from './html.ts';
import type { ReportChart, ReportData, ReportFacts, ReportFigure, ReportTable } from './report-data.ts';

const asset = (name: string) => new Html(pageAsset(import.meta.url, name));

/** A page that needs nothing but itself: styles, scripts and data are inside, and it may not load anything else. */
export function buildReport(data: ReportData): string {
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<title>${data.title}</title>
<style>
${asset('uPlot.min.css')}
${asset('common.css')}
${asset('report.css')}
</style>
</head>
<body>
<header>
<h1>${data.title}</h1>
<p class="verdict ${data.verdictTone}">${data.verdict}</p>
${data.introduction.map((text) => markup`<p>${text}</p>\n`)}
<ul class="figures">
${data.keyFigures.map(figureItem)}
</ul>
</header>
<main>
<section>
<h2>${data.table.title}</h2>
${tableBody(data.table)}
</section>
<section class="charts">
${data.charts.map(chartFigure)}
<noscript>The charts need JavaScript; the tables do not.</noscript>
</section>
${data.details.map(foldedTable)}
<section class="facts">
${data.facts.map(factList)}
</section>
</main>
<footer>
<p>${data.footer}</p>
<p>Charts by uPlot 1.6, © Leon Sorokin, MIT licence.</p>
</footer>
<script type="application/json" id="charts">${jsonForScript({ runs: data.runs, charts: data.charts })}</script>
<script>${asset('uPlot.iife.min.js')}</script>
<script>${asset('report.js')}</script>
</body>
</html>
`.text;
}

const figureItem = ({ label, value, note }: ReportFigure) => markup`
<li><span class="label">${label}</span><span class="value">${value}</span><span class="note">${note ?? ''}</span></li>`;

const tableBody = ({ columns, rows, note }: ReportTable) => markup`<div class="scroll"><table>
<thead><tr>${columns.map((column) => markup`<th scope="col">${column}</th>`)}</tr></thead>
<tbody>${rows.map(tableRow)}</tbody>
</table></div>
${note === undefined ? '' : markup`<p class="note">${note}</p>`}`;

const tableRow = ([heading, ...cells]: readonly string[]) => markup`
<tr><th scope="row">${heading ?? ''}</th>${cells.map((cell) => markup`<td>${cell}</td>`)}</tr>`;

const foldedTable = (table: ReportTable) => markup`
<details><summary>${table.title} (${table.rows.length})</summary>${tableBody(table)}</details>`;

const chartFigure = ({ title, note }: ReportChart, index: number) => markup`
<figure>
<figcaption><h3>${title}</h3>${note === undefined ? '' : markup`<p>${note}</p>`}</figcaption>
<div data-chart="${index}" role="img" aria-label="${title}"></div>
</figure>`;

const factList = ({ title, items }: ReportFacts) => markup`
<section><h2>${title}</h2>
<dl>${items.map(({ label, value }) => markup`\n<dt>${label}</dt><dd>${value}</dd>`)}</dl>
</section>`;
