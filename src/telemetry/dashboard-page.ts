import { createHash } from 'node:crypto';
import type { Page } from './metrics-server.ts';
import { pageAsset } from './page-asset.ts';

const asset = (name: string) => pageAsset(import.meta.url, name);

const CHARTS = [
  ['latency', 'Latency', 'Of each second, from arrival at the socket to the last byte of the reply.'],
  [
    'heat',
    'Where requests are',
    'Each second upwards by latency; the stronger, the more requests, on a logarithmic scale.',
  ],
  ['load', 'Load', 'Requests completed a second.'],
  ['split', 'Where the time goes', 'Means: in the socket before the server reads, and from there to the reply.'],
  ['level', 'Level', 'The share of full capacity.'],
  ['frequency', 'Frequency', 'The cap of each domain, as the kernel reads it back.'],
  ['flight', 'In flight', 'Requests that have arrived and have no reply yet.'],
] as const;

const chartFigure = ([id, title, note]: readonly [string, string, string]) =>
  `<figure id="${id}"><h2>${title}</h2><p class="note">${note}</p><div class="plot" role="img" aria-label="${title}"></div></figure>`;

const BODY = `
<header>
  <h1>tailgov</h1>
  <span id="state" class="pill warn">asking the daemon</span>
  <span id="lost" class="pill bad" role="status" hidden></span>
  <span class="spring"></span>
  <span id="about" class="faint"></span>
</header>
<p id="empty" hidden>The daemon has not made its first round yet.</p>
<div id="main" hidden>
  <nav><span id="services"></span><span class="spring"></span><span id="spans"></span></nav>
  <div id="tiles" class="tiles"></div>
  <p id="reason" class="reason"></p>
  <div class="charts">
    ${CHARTS.map(chartFigure).join('\n    ')}
    <figure id="power" hidden><h2>Power</h2><p id="power-note" class="note"></p><div class="plot" role="img" aria-label="Power"></div></figure>
  </div>
  <div class="tables">
    <section class="panel"><h2>Decisions</h2><div class="scroll"><table>
      <thead><tr><th scope="col">time</th><th scope="col">level</th><th scope="col">why</th></tr></thead><tbody id="decisions"></tbody>
    </table></div></section>
    <section class="panel"><h2>Policies, the newest in force</h2><div class="scroll"><table>
      <thead><tr><th scope="col">since</th><th scope="col">policy</th><th scope="col">controller</th></tr></thead><tbody id="policies"></tbody>
    </table></div></section>
  </div>
  <details id="about-power" class="note" hidden><summary>Where power comes from</summary><p id="power-model"></p></details>
</div>
<noscript>This page draws with JavaScript. Without it: tailgov status.</noscript>
<footer>Latency is measured in the kernel, at the server's socket: network cards, the network and clients are not in it. Charts by uPlot 1.6, © Leon Sorokin, MIT licence.</footer>
`;

/** The page at /dashboard: everything inside, nothing fetched but the data, from where the page came from. */
export function dashboardPage(): Page {
  const styles = ['uPlot.min.css', 'common.css', 'dashboard.css'].map(asset);
  const scripts = ['uPlot.iife.min.js', 'dashboard.js'].map(asset);
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>tailgov</title>
<link rel="icon" href="data:,">
${styles.map((text) => `<style>${text}</style>`).join('\n')}
</head>
<body>${BODY}${scripts.map((text) => `<script>${text}</script>`).join('\n')}
</body>
</html>
`;
  const hashes = (texts: readonly string[]) => texts.map(sourceHash).join(' ');
  const policy = [
    "default-src 'none'",
    `script-src ${hashes(scripts)}`,
    `style-src ${hashes(styles)}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  return {
    type: 'text/html; charset=utf-8',
    headers: { 'content-security-policy': policy, 'referrer-policy': 'no-referrer' },
    body: () => html,
  };
}

/** What Content-Security-Policy knows an inline element by. */
const sourceHash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
