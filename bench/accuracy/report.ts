/** Writes docs/accuracy.md and its plots from what accuracy.ts found: `npx tsx bench/accuracy/report.ts RUN.json` */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import { identityPlot } from './identity-plot.ts';
import type { AccuracyPoint, AccuracyRun, SensorTimes, Times } from './point.ts';

/** A client that is busier than this measures its own queue. */
const BUSY_CLIENT = 0.8;
const QUANTILES = ['p50Us', 'p95Us', 'p99Us'] as const satisfies readonly (keyof Times)[];
const docs = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));

interface Pair {
  readonly subject: string;
  readonly clientUs: number;
  readonly sensorUs: number;
}

const counts = ({ client }: AccuracyPoint) => client.busyRatio === null || client.busyRatio <= BUSY_CLIENT;
const sensorOf = (point: AccuracyPoint, method: string): SensorTimes | undefined =>
  point.sensors.find((sensor) => sensor.method === method);

function pairsOf(points: readonly AccuracyPoint[], method: string, quantile: keyof Times): Pair[] {
  return points.filter(counts).flatMap((point) => {
    const sensor = sensorOf(point, method);
    return sensor === undefined || sensor.requests === 0
      ? []
      : [{ subject: point.subject, clientUs: point.client[quantile], sensorUs: sensor[quantile] }];
  });
}

/** How much of the variance of y the line y = x explains: 1 − Σ(y − x)² ÷ Σ(y − ȳ)². */
export function rSquaredToIdentity(pairs: readonly Pair[]): number {
  const mean = pairs.reduce((sum, { sensorUs }) => sum + sensorUs, 0) / pairs.length;
  const off = pairs.reduce((sum, { clientUs, sensorUs }) => sum + (sensorUs - clientUs) ** 2, 0);
  const spread = pairs.reduce((sum, { sensorUs }) => sum + (sensorUs - mean) ** 2, 0);
  return spread === 0 ? Number.NaN : 1 - off / spread;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const shown = (value: number, digits: number) => (Number.isFinite(value) ? value.toFixed(digits) : 'n/a');
const us = (value: number) => (value >= 10_000 ? `${(value / 1000).toFixed(1)} ms` : `${value.toFixed(0)} µs`);

function summaryTable(run: AccuracyRun): string {
  const subjects = [...new Set(run.points.map(({ subject }) => subject))];
  const rows = subjects.flatMap((subject) => {
    const points = run.points.filter((point) => point.subject === subject);
    return run.methods.map((method) => {
      const r2 = QUANTILES.map((quantile) => shown(rSquaredToIdentity(pairsOf(points, method, quantile)), 3));
      const errors = QUANTILES.flatMap((quantile) => pairsOf(points, method, quantile));
      const slow = errors
        .filter(({ clientUs }) => clientUs >= 500)
        .map(({ clientUs, sensorUs }) => Math.abs(sensorUs / clientUs - 1));
      const fast = errors
        .filter(({ clientUs }) => clientUs < 500)
        .map(({ clientUs, sensorUs }) => Math.abs(sensorUs - clientUs));
      const rates = points.filter(counts).flatMap((point) => {
        const sensor = sensorOf(point, method);
        return sensor === undefined ? [] : [Math.abs(sensor.requests / point.client.requests - 1)];
      });
      const used = points.filter(counts);
      const range =
        used.length === 0
          ? 'none'
          : `${Math.min(...used.map(({ rate }) => rate)).toFixed(0)} to ${Math.max(...used.map(({ rate }) => rate)).toFixed(0)}`;
      return [
        subject,
        method,
        `${used.length} of ${points.length}`,
        range,
        ...r2,
        slow.length === 0 ? '' : `${shown(100 * median(slow), 1)} %`,
        fast.length === 0 ? '' : `${shown(median(fast), 0)} µs`,
        rates.length === 0 ? '' : `${shown(100 * Math.max(...rates), 3)} %`,
      ];
    });
  });
  return table(
    [
      'server',
      'method',
      'points',
      'requests/s',
      'R² p50',
      'R² p95',
      'R² p99',
      'median error, ≥ 500 µs',
      'median error, < 500 µs',
      'count off by at most',
    ],
    rows,
  );
}

function pointsTable(run: AccuracyRun, subject: string): string {
  const points = run.points.filter((point) => point.subject === subject);
  const heads = [
    'load',
    'requests/s',
    'client busy',
    'requests',
    'p50',
    'p95',
    'p99',
    ...run.methods.flatMap((method) => [`${method} requests`, 'p50', 'p95', 'p99']),
  ];
  return table(
    heads,
    points.map((point) => [
      `${(100 * point.share).toFixed(0)} %${counts(point) ? '' : ' (left out)'}`,
      point.rate.toFixed(0),
      point.client.busyRatio === null ? 'n/a' : `${(100 * point.client.busyRatio).toFixed(0)} %`,
      String(point.client.requests),
      ...QUANTILES.map((quantile) => us(point.client[quantile])),
      ...run.methods.flatMap((method) => {
        const sensor = sensorOf(point, method);
        return sensor === undefined
          ? ['', '', '', '']
          : [String(sensor.requests), ...QUANTILES.map((quantile) => us(sensor[quantile]))];
      }),
    ]),
  );
}

const table = (heads: readonly string[], rows: readonly (readonly string[])[]) =>
  [heads, heads.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

async function main(file: string): Promise<void> {
  const run = JSON.parse(readFileSync(file, 'utf8')) as AccuracyRun;
  for (const quantile of QUANTILES) {
    const series = run.methods.map((method) => ({ method, points: pairsOf(run.points, method, quantile) }));
    writeFileSync(docs(`images/accuracy-${quantile.slice(0, 3)}.svg`), identityPlot(quantile.slice(0, 3), series));
  }
  const page = docs('accuracy.md');
  const [head] = readFileSync(page, 'utf8').split('<!-- measured -->');
  const subjects = [...new Map(run.points.map(({ subject, what }) => [subject, what]))];
  const text = `${head}<!-- measured -->

Measured ${run.at.slice(0, 10)}, ${run.seconds} s a point or longer where there were few requests; ${run.points.filter(counts).length} of ${run.points.length} points count.

${summaryTable(run)}

${QUANTILES.map((quantile) => `![${quantile.slice(0, 3)}: sensor against client](images/accuracy-${quantile.slice(0, 3)}.svg)`).join('\n')}

## Every point

The first p50, p95 and p99 are the client's, from the write of a request to the last byte of its reply.

${subjects.map(([subject, what]) => `### ${subject}: ${what}\n\n${pointsTable(run, subject)}`).join('\n\n')}
`;
  writeFileSync(page, await format(text, { parser: 'markdown', printWidth: 120 }));
}

await main(process.argv[2]!);
