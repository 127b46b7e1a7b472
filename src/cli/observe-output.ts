import type { Histogram } from '../core/histogram.ts';
import { gapVariation, slackRatio } from '../core/secondary-signals.ts';
import type { Snapshot } from '../core/sensor.ts';
import { summarizeSnapshot } from '../core/snapshot-summary.ts';
import { formatNs, NS_PER_S } from '../core/units.ts';

/** How windows become lines. */
export interface ObserveOutput {
  window(snapshots: readonly Snapshot[], wallMs: number): readonly string[];
  summary(snapshots: readonly Snapshot[], wallMs: number): readonly string[];
}

/** One object a line, of the shape that core/snapshot-summary.ts gives; in a summary also `"summary":true`. */
export function jsonLines(): ObserveOutput {
  const lines = (snapshots: readonly Snapshot[], wallMs: number, more: object) =>
    snapshots.map((snapshot) => JSON.stringify({ ...summarizeSnapshot(snapshot, wallMs), ...more }));
  return {
    window: (snapshots, wallMs) => lines(snapshots, wallMs, {}),
    summary: (snapshots, wallMs) => lines(snapshots, wallMs, { summary: true }),
  };
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly cell: (snapshot: Snapshot) => string;
}

/** `-` where nothing completed: a latency of 0 would be a lie. */
const quantile = (histogram: Histogram, share: number): string =>
  histogram.count === 0 ? '-' : formatNs(histogram.quantileNs(share));

const COLUMNS: readonly Column[] = [
  {
    title: 'requests/s',
    width: 10,
    cell: (s) => (s.windowNs > 0 ? (s.requests / s.windowNs) * NS_PER_S : 0).toFixed(0),
  },
  { title: 'p50', width: 8, cell: (s) => quantile(s.latency, 0.5) },
  { title: 'p99', width: 8, cell: (s) => quantile(s.latency, 0.99) },
  { title: 'p99.9', width: 8, cell: (s) => quantile(s.latency, 0.999) },
  { title: 'max', width: 8, cell: (s) => quantile(s.latency, 1) },
  { title: 'wait p99', width: 8, cell: (s) => quantile(s.socketWait, 0.99) },
  { title: 'handling p99', width: 12, cell: (s) => quantile(s.handlingTime, 0.99) },
  { title: 'in flight', width: 9, cell: (s) => `${s.inFlight}` },
  { title: 'oldest', width: 8, cell: (s) => (s.oldestInFlightNs > 0 ? formatNs(s.oldestInFlightNs) : '-') },
];
const TIME_WIDTH = 8;
const LINES_A_HEADER = 20;

/** Aligned columns. On a terminal the header comes again now and then; elsewhere once. */
export function tableLines(terminal: boolean): ObserveOutput {
  let linesSinceHeader = Infinity;
  const table = (
    snapshots: readonly Snapshot[],
    label: string,
    noteOf: (snapshot: Snapshot) => string,
  ): readonly string[] => {
    const targetWidth = Math.max('target'.length, ...snapshots.map(({ target }) => target.length));
    const row = (time: string, target: string, cells: readonly string[], note: string) =>
      [
        time.padEnd(TIME_WIDTH),
        target.padEnd(targetWidth),
        ...cells.map((cell, i) => cell.padStart(COLUMNS[i]!.width)),
        note,
      ]
        .join('  ')
        .trimEnd();
    const rows = snapshots.map((s) =>
      row(
        label,
        s.target,
        COLUMNS.map(({ cell }) => cell(s)),
        noteOf(s),
      ),
    );
    const headerIsDue = linesSinceHeader === Infinity || (terminal && linesSinceHeader >= LINES_A_HEADER);
    linesSinceHeader = (headerIsDue ? 0 : linesSinceHeader) + rows.length;
    return headerIsDue
      ? [
          row(
            'time',
            'target',
            COLUMNS.map(({ title }) => title),
            '',
          ),
          ...rows,
        ]
      : rows;
  };
  return {
    window: (snapshots, wallMs) =>
      table(snapshots, new Date(wallMs).toTimeString().slice(0, TIME_WIDTH), stateAndCounts),
    summary: (snapshots) => ['', ...table(snapshots, 'all', signalsAndCounts), ...snapshots.map(totals)],
  };
}

/** What is out of the ordinary. */
function unusualCounts(snapshot: Snapshot): string {
  const counts = (['abandoned', 'unsolicited', 'dropped'] as const).filter((count) => snapshot[count] > 0);
  return [...counts.map((count) => `${count} ${snapshot[count]}`), ...http2Counts(snapshot)].join(', ');
}

/** What a target that speaks HTTP/2 has besides requests of the unit that the line is about. */
function http2Counts({ http2 }: Snapshot): readonly string[] {
  if (http2 === undefined) return [];
  const { unit, requests } = http2.otherUnit;
  const counted = (count: number, what: string) => (count > 0 ? [`${what} ${count}`] : []);
  return [
    ...counted(http2.streaming, 'streaming'),
    ...counted(requests, `apart by ${unit}`),
    ...counted(http2.lostConnections, 'connections lost'),
  ];
}

const signalsAndCounts = (snapshot: Snapshot): string => joined([secondarySignals(snapshot), unusualCounts(snapshot)]);

const joined = (notes: readonly string[]): string => notes.filter((note) => note !== '').join(', ');

function stateAndCounts(snapshot: Snapshot): string {
  const state = snapshot.health === 'active' ? '' : snapshot.health;
  return joined([state, signalsAndCounts(snapshot)]);
}

/** What is not known is left out. */
function secondarySignals({ secondary, cpuTimeNs, windowNs }: Snapshot): string {
  if (secondary === undefined) return '';
  const parts: readonly [string, number | null][] = [
    ['slack', slackRatio(secondary)],
    ['gap variation', gapVariation(secondary)],
    ['busy cores', cpuTimeNs === null || windowNs === 0 ? null : cpuTimeNs / windowNs],
  ];
  return parts.flatMap(([name, value]) => (value === null ? [] : [`${name} ${value.toFixed(2)}`])).join(', ');
}

function totals({ target, requests, windowNs, latency, method, unit }: Snapshot): string {
  const counted = `${target}: ${requests} ${unit}${requests === 1 ? '' : 's'} in ${formatNs(windowNs)}`;
  return `${counted}${requests === 0 ? '' : `, mean ${formatNs(latency.meanNs)}`}, method ${method}`;
}
