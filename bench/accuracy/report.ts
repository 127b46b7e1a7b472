import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import { identityPlot } from './identity-plot.ts';
import type { AccuracyPoint, AccuracyRun, SensorTimes, Sweep, Times } from './point.ts';
import { figuresOf, GOALS, isOwnBottleneck, pairsOf, QUANTILES, showRSquared, type SweepFigures } from './verdict.ts';

const docs = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
const MARK = '<!-- measured -->';

/** Writes what was found into docs/accuracy.md, below its mark, and draws its plots. */
export async function writePage(file: string): Promise<void> {
  const { sweeps } = JSON.parse(readFileSync(file, 'utf8')) as AccuracyRun;
  const ways = [...new Set(sweeps.flatMap(waysOf))];
  for (const quantile of QUANTILES) {
    const series = ways.map((way) => ({
      method: way,
      points: sweeps.flatMap((sweep) => pairsOf(sweep, way, quantile)),
    }));
    writeFileSync(docs(plotOf(quantile)), identityPlot(nameOf(quantile), series));
  }
  const page = docs('accuracy.md');
  const [head] = readFileSync(page, 'utf8').split(MARK);
  const text = `${head}${MARK}

${whenMeasured(sweeps)}

## Verdict

${verdictTable(sweeps, ways)}

${misses(sweeps, ways[0]!)}

## By server

${summaryTable(sweeps)}

${QUANTILES.map((quantile) => `![${nameOf(quantile)}: sensor against client](${plotOf(quantile)})`).join('\n')}

## Every point

The first p50, p95 and p99 are the client's, from the write of a request to the last byte of its reply.

${sweeps.map((sweep) => `### ${sweep.subject}: ${sweep.what}\n\n${pointsTable(sweep)}`).join('\n\n')}
`;
  writeFileSync(page, await format(text, { parser: 'markdown', printWidth: 120 }));
}

const nameOf = (quantile: keyof Times) => quantile.replace('Us', '');
const plotOf = (quantile: keyof Times) => `images/accuracy-${nameOf(quantile)}.svg`;
const waysOf = ({ points }: Sweep) => [...new Set(points.flatMap(({ sensors }) => sensors.map(({ way }) => way)))];

function whenMeasured(sweeps: readonly Sweep[]): string {
  const days = [...new Set(sweeps.map(({ at }) => at.slice(0, 10)))].sort();
  const points = sweeps.flatMap((sweep) => sweep.points);
  const count = points.filter((point) => !isOwnBottleneck(point)).length;
  const lengths = [...new Set(sweeps.map(({ seconds }) => seconds))].join(' or ');
  return `Measured ${days.join(', ')}, ${lengths} s a point or longer where there were few requests; ${count} of ${points.length} points count, at the others the client was its own bottleneck.`;
}

/** Each goal, a way a column: on how many of the servers it is reached. */
function verdictTable(sweeps: readonly Sweep[], ways: readonly string[]): string {
  const rows = GOALS.map((goal) => [
    goal.name,
    ...ways.map((way) => {
      const { judged, missed } = judge(goal, sweeps, way);
      return judged === 0 ? '' : `${judged - missed.length} of ${judged}`;
    }),
  ]);
  return table(['goal, reached on so many servers', ...ways], rows);
}

/** What the first way misses, and by how much. */
function misses(sweeps: readonly Sweep[], way: string): string {
  const missed = GOALS.flatMap((goal) => {
    const found = judge(goal, sweeps, way).missed;
    return found.length === 0
      ? []
      : [`- ${goal.name}: ${found.map((each) => `${each.subject} ${goal.show(each)}`).join('; ')}`];
  });
  if (missed.length === 0) return `\`${way}\` misses none.`;
  return `What \`${way}\` misses; after an R², what the client saw over the sweep:\n\n${missed.join('\n')}`;
}

function judge(goal: (typeof GOALS)[number], sweeps: readonly Sweep[], way: string) {
  const judged = sweeps
    .flatMap((sweep) => figuresOf(sweep, way) ?? [])
    .filter((figures) => goal.valueOf(figures) !== null);
  return { judged: judged.length, missed: judged.filter((figures) => !goal.isReached(goal.valueOf(figures)!)) };
}

function summaryTable(sweeps: readonly Sweep[]): string {
  const rows = sweeps.flatMap((sweep) =>
    waysOf(sweep).flatMap((way) => {
      const figures = figuresOf(sweep, way);
      return figures === undefined ? [] : [rowOf(sweep, figures)];
    }),
  );
  const heads = ['server', 'way', 'unit', 'points', 'requests/s', ...QUANTILES.map((each) => `R² ${nameOf(each)}`)];
  const errors = ['median error, ≥ 500 µs', 'median error, < 500 µs', 'count off by at most'];
  return table([...heads, ...errors], rows);
}

function rowOf({ subject, points }: Sweep, figures: SweepFigures): readonly string[] {
  const { way, unit, rates, rSquared, slowError, fastErrorUs, countError } = figures;
  return [
    subject,
    way,
    unit,
    `${rates.length} of ${points.length}`,
    `${Math.min(...rates).toFixed(0)} to ${Math.max(...rates).toFixed(0)}`,
    ...QUANTILES.map((quantile) => showRSquared(rSquared[quantile])),
    slowError === null ? '' : `${(100 * slowError).toFixed(1)} %`,
    fastErrorUs === null ? '' : `${fastErrorUs.toFixed(0)} µs`,
    `${(100 * countError).toFixed(3)} %`,
  ];
}

function pointsTable(sweep: Sweep): string {
  const ways = waysOf(sweep);
  const heads = ['load', 'requests/s', 'client busy', 'requests', 'p50', 'p95', 'p99'];
  const rows = sweep.points.map((point) => [
    `${(100 * point.share).toFixed(0)} %${isOwnBottleneck(point) ? ' (left out)' : ''}`,
    point.rate.toFixed(0),
    point.client.busyRatio === null ? 'n/a' : `${(100 * point.client.busyRatio).toFixed(0)} %`,
    String(point.client.requests),
    ...QUANTILES.map((quantile) => us(point.client[quantile])),
    ...ways.flatMap((way) => cellsOf(point, way)),
  ]);
  return table([...heads, ...ways.flatMap((way) => [`${way}: count`, 'p50', 'p95', 'p99'])], rows);
}

function cellsOf({ sensors }: AccuracyPoint, way: string): readonly string[] {
  const sensor: SensorTimes | undefined = sensors.find((each) => each.way === way);
  if (sensor === undefined) return ['', '', '', ''];
  return [String(sensor.requests), ...QUANTILES.map((quantile) => (sensor.requests === 0 ? '' : us(sensor[quantile])))];
}

const us = (value: number) => (value >= 10_000 ? `${(value / 1000).toFixed(1)} ms` : `${value.toFixed(0)} µs`);

const table = (heads: readonly string[], rows: readonly (readonly string[])[]) =>
  [heads, heads.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
