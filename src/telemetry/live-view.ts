import type { ServiceReport, TickReport } from '../core/tick-report.ts';
import { formatCpuList } from '../core/cpu-list.ts';
import { formatKhz, formatNs, formatPercent, formatQuantile } from '../core/units.ts';
import { colored, cutToWidth, progressBar, sparkline, uncolored, type Color, type Painter } from './terminal-text.ts';

/** What a live view shows. Made from tick reports alone, so that it fits a demo, a running daemon and a simulation. */
export interface LiveViewData {
  readonly heading: string;
  /** Oldest first; the last one is the present. */
  readonly ticks: readonly TickReport[];
  /** The time that the sparklines cover. */
  readonly spanMs: number;
  /** The services that are shown, by name; all where not given. */
  readonly services?: readonly string[];
  readonly progress?: { readonly elapsedMs: number; readonly totalMs: number };
  /** More figures, shown below the services. */
  readonly figures?: readonly { readonly label: string; readonly value: string }[];
  /** Sentences at the foot. */
  readonly notes?: readonly string[];
}

export interface LiveViewOptions {
  readonly columns: number;
  readonly color: boolean;
}

const LABEL_COLUMNS = 14;
const VALUE_COLUMNS = 24;
const MIN_SPARK_COLUMNS = 10;

/** The lines of the view, each at most `columns` wide. */
export function liveView(data: LiveViewData, options: LiveViewOptions): string[] {
  const paint = options.color ? colored : uncolored;
  const lines = [headingLine(data, options.columns, paint), ''];
  const last = data.ticks.at(-1);
  if (last === undefined) {
    lines.push('waiting for the first tick');
  } else {
    const shown = last.services.filter(({ service }) => data.services?.includes(service) ?? true);
    for (const service of shown) lines.push(...serviceLines(service, data, options, paint), '');
    for (const fault of last.faults) lines.push(paint('red', `fault: ${fault}`));
    if (last.paused) lines.push(paint('yellow', 'paused by an operator: everything runs at full speed'));
  }
  for (const { label, value } of data.figures ?? []) lines.push(`  ${label.padEnd(LABEL_COLUMNS)}${value}`);
  for (const note of data.notes ?? []) lines.push(paint('dim', note));
  return lines.map((line) => cutToWidth(line, options.columns));
}

/** One service in one line, for output that is no terminal. */
export function liveLine(service: ServiceReport, tick: TickReport): string {
  const { observation, slo } = service;
  return [
    service.service,
    `${observation.throughputRps.toFixed(0)} rps`,
    `p50 ${timeOrNone(observation.medianNs)}`,
    `${formatQuantile(slo.quantile)} ${timeOrNone(observation.quantileNs)} (SLO ${formatNs(slo.latencyNs)})`,
    `wait ${timeOrNone(observation.socketWaitNs)}`,
    `${observation.inFlight} in flight`,
    frequencyText(tick),
    `level ${service.appliedLevel.toFixed(2)}`,
    ...liveCpus(cpusOf(tick, service.service)?.appliedCpus),
    service.decision.reason,
  ].join(', ');
}

const liveCpus = (cpus: readonly number[] | null | undefined) => (cpus ? [`cpus ${formatCpuList(cpus)}`] : []);

function headingLine(data: LiveViewData, columns: number, paint: Painter): string {
  if (data.progress === undefined) return paint('bold', data.heading);
  const { elapsedMs, totalMs } = data.progress;
  const clock = `${Math.min(elapsedMs / 1000, totalMs / 1000).toFixed(0)} of ${(totalMs / 1000).toFixed(0)} s`;
  const barColumns = Math.max(0, Math.min(30, columns - data.heading.length - clock.length - 3));
  return `${paint('bold', data.heading)}  ${paint('cyan', progressBar(elapsedMs / totalMs, barColumns))} ${clock}`;
}

interface Row {
  readonly label: string;
  readonly value: string;
  readonly color?: Color;
  readonly spark?: string;
}

function serviceLines(service: ServiceReport, data: LiveViewData, options: LiveViewOptions, paint: Painter): string[] {
  const { observation, slo, decision, compliance } = service;
  const quantile = formatQuantile(slo.quantile);
  const width = Math.max(MIN_SPARK_COLUMNS, options.columns - LABEL_COLUMNS - VALUE_COLUMNS - 3);
  const history = (value: (service: ServiceReport, tick: TickReport) => number | null) =>
    columnValues(data, service.service, width, value);
  const over = observation.quantileNs !== null && observation.quantileNs > slo.latencyNs;
  const shareOfSlo =
    observation.quantileNs === null ? '' : ` (${formatPercent(observation.quantileNs / slo.latencyNs, 0)} of SLO)`;

  const rows: Row[] = [
    {
      label: 'load',
      value: `${observation.throughputRps.toFixed(0)} rps`,
      spark: sparkline(history((at) => at.observation.throughputRps)),
    },
    {
      label: 'p50',
      value: timeOrNone(observation.medianNs),
      spark: sparkline(
        history((at) => at.observation.medianNs),
        slo.latencyNs,
      ),
    },
    {
      label: quantile,
      value: `${timeOrNone(observation.quantileNs)}${shareOfSlo}`,
      color: over ? 'red' : 'green',
      // A full column is the SLO: what touches the top is at it or over.
      spark: sparkline(
        history((at) => at.observation.quantileNs),
        slo.latencyNs,
      ),
    },
    {
      label: 'socket wait',
      value: `${timeOrNone(observation.socketWaitNs)} mean`,
      spark: sparkline(
        history((at) => at.observation.socketWaitNs),
        slo.latencyNs,
      ),
    },
    {
      label: 'handling time',
      value: `${timeOrNone(observation.handlingTimeNs)} mean`,
      spark: sparkline(
        history((at) => at.observation.handlingTimeNs),
        slo.latencyNs,
      ),
    },
    {
      label: 'in flight',
      value: String(observation.inFlight),
      spark: sparkline(history((at) => at.observation.inFlight)),
    },
    {
      label: 'frequency',
      value: frequencyText(data.ticks.at(-1)!),
      color: 'cyan',
      spark: sparkline(history((_, tick) => highestKhz(tick))),
    },
    {
      label: 'level',
      value: service.appliedLevel.toFixed(2),
      spark: sparkline(
        history((at) => at.appliedLevel),
        1,
      ),
    },
    ...cpuRows(service.service, data, history),
  ];
  const state = observation.health === 'active' ? '' : `, ${observation.health}`;
  const kept = compliance.met ? paint('green', 'kept') : paint('red', 'missed');
  return [
    `${paint('bold', service.service)}  SLO ${quantile} ≤ ${formatNs(slo.latencyNs)}: ${kept}, ${compliance.overSlo} of ${compliance.requests} requests over in ${(compliance.windowMs / 1000).toFixed(0)} s${state}`,
    ...rows.map(({ label, value, color, spark }) => {
      const cell = value.padEnd(VALUE_COLUMNS);
      return `  ${label.padEnd(LABEL_COLUMNS)}${color === undefined ? cell : paint(color, cell)} ${spark ?? ''}`.trimEnd();
    }),
    `  ${'reason'.padEnd(LABEL_COLUMNS)}${decision.controller}: ${decision.reason}`,
  ];
}

/** None where the service's CPUs are not governed. */
function cpuRows(
  name: string,
  data: LiveViewData,
  history: (value: (service: ServiceReport, tick: TickReport) => number | null) => (number | null)[],
): readonly Row[] {
  const now = cpusOf(data.ticks.at(-1)!, name);
  if (now === undefined) return [];
  const value = now.appliedCpus === null ? 'as it has them' : cpusText(now.appliedCpus);
  return [
    { label: 'cpus', value, spark: sparkline(history((_, tick) => cpusOf(tick, name)?.appliedCpus?.length ?? null)) },
  ];
}

const cpusOf = ({ applied }: TickReport, name: string) => applied.cpus?.find(({ service }) => service === name);

/** `3 (0-2)` */
const cpusText = (cpus: readonly number[]) => `${cpus.length} (${formatCpuList(cpus)})`;

/**
 * The span's history of one value in `width` columns, the present at the right end; where several ticks share a column their
 * highest value counts, so that a peak is not hidden.
 */
function columnValues(
  data: LiveViewData,
  serviceName: string,
  width: number,
  value: (service: ServiceReport, tick: TickReport) => number | null,
): (number | null)[] {
  const columns = Array.from<number | null>({ length: width }).fill(null);
  const now = data.ticks.at(-1)?.atMs ?? 0;
  for (const tick of data.ticks) {
    const column = width - 1 - Math.floor(((now - tick.atMs) / data.spanMs) * width);
    const service = tick.services.find((each) => each.service === serviceName);
    if (column < 0 || service === undefined) continue;
    const here = value(service, tick);
    if (here !== null) columns[column] = Math.max(columns[column] ?? 0, here);
  }
  return columns;
}

function highestKhz(tick: TickReport): number | null {
  const known = tick.applied.frequencies.flatMap(({ appliedKhz }) => (appliedKhz === null ? [] : [appliedKhz]));
  return known.length === 0 ? null : Math.max(...known);
}

/** `2.30 GHz`, or `1.20 GHz to 2.30 GHz` where domains differ. */
function frequencyText(tick: TickReport): string {
  const known = tick.applied.frequencies.flatMap(({ appliedKhz }) => (appliedKhz === null ? [] : [appliedKhz]));
  if (known.length === 0) return 'unknown';
  const [low, high] = [Math.min(...known), Math.max(...known)];
  return low === high ? formatKhz(low) : `${formatKhz(low)} to ${formatKhz(high)}`;
}

export const timeOrNone = (ns: number | null) => (ns === null ? 'none' : formatNs(ns));
