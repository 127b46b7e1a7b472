import { formatCpuList } from '../core/cpu-list.ts';
import type { ServiceReport, TickReport } from '../core/tick-report.ts';
import { formatKhz, formatNs, formatQuantile } from '../core/units.ts';
import type { DaemonStatus } from './daemon-status.ts';
import { describeOrigin } from './power-meter.ts';
import { liveLine, liveView, timeOrNone, type LiveViewOptions } from './live-view.ts';
import { colored, cutToWidth, textTable, uncolored } from './terminal-text.ts';

/** What `tailgov top` shows: the newest of what the daemon says, and what its user has chosen. */
export interface TopState {
  /** Null until the daemon has answered. */
  readonly status: DaemonStatus | null;
  /** Oldest first. */
  readonly ticks: readonly TickReport[];
  /** Of the services, in the daemon's order: the one that is shown whole. */
  readonly selected: number;
  /** Why the daemon does not answer, or did not do what a key asked for; null while all is well. */
  readonly trouble: string | null;
}

export type TopAction = 'pause' | 'resume' | 'quit';

/** The time that the sparklines cover. */
export const TOP_SPAN_MS = 60_000;

const KEYS_LINE = 'p pause or resume, ↑ ↓ service, q quit';

/** What begins with an escape is one key, known or not. */
const KEY = new RegExp(`${'\u001b'}(?:\\[[0-9;]*[A-Za-z~]|O.|.)?|.`, 'gsu');

/** The keys in what a terminal in raw mode has sent: those of a moment come together, as where one is held down. */
export const keysIn = (sent: string): readonly string[] => sent.match(KEY) ?? [];

/** What a key asks for; the state is the same one where the key means nothing. Keys are as a terminal in raw mode sends them. */
export function pressTopKey(state: TopState, key: string): { readonly state: TopState; readonly action?: TopAction } {
  const services = state.status?.last?.services.length ?? 0;
  const select = (index: number) =>
    services === 0 ? { state } : { state: { ...state, selected: (index + services) % services } };
  switch (key) {
    case 'q':
    case 'Q':
    case '\u0003':
    case '\u0004':
      return { state, action: 'quit' };
    case 'p':
    case 'P':
      return { state, action: state.status?.state === 'paused' ? 'resume' : 'pause' };
    case '\t':
    case 'j':
    case '\u001b[B':
    case '\u001bOB':
      return select(state.selected + 1);
    case '\u001b[Z':
    case 'k':
    case '\u001b[A':
    case '\u001bOA':
      return select(state.selected - 1);
    default:
      return /^[1-9]$/.test(key) && Number(key) <= services ? select(Number(key) - 1) : { state };
  }
}

/** The lines of the screen, each at most `columns` wide. */
export function topView(state: TopState, options: LiveViewOptions): string[] {
  const { status, trouble } = state;
  const paint = options.color ? colored : uncolored;
  const troubles = trouble === null ? [] : [paint('red', trouble)];
  if (status === null) return [...troubles, paint('dim', KEYS_LINE)].map((line) => cutToWidth(line, options.columns));
  const services = status.last?.services ?? [];
  const selected = services[Math.min(state.selected, services.length - 1)]?.service;
  const view = liveView(
    {
      heading: headingOf(status),
      ticks: state.ticks.length === 0 && status.last !== null ? [status.last] : state.ticks,
      spanMs: TOP_SPAN_MS,
      services: selected === undefined ? [] : [selected],
      figures: figuresOf(status, selected),
      notes: [KEYS_LINE],
    },
    options,
  );
  const table = services.length > 1 ? ['', ...servicesTable(services, selected)] : [];
  const [heading, ...rest] = view;
  return [heading!, ...troubles, ...table, ...rest].map((line) => cutToWidth(line, options.columns));
}

/** A line a service, for output that is no terminal. */
export function topLines(status: DaemonStatus): string[] {
  const { last } = status;
  if (last === null) return [`${status.state}: no tick yet`];
  const power = powerText(status);
  return last.services.map((service) =>
    [
      status.state !== 'governing' ? `${status.state}: ` : '',
      liveLine(service, last),
      `, ${coresText(status, last, service.service)}`,
      power === null ? '' : `, ${power}`,
    ].join(''),
  );
}

function headingOf(status: DaemonStatus): string {
  const { count, missed } = status.ticks;
  const dry = status.mode === 'dry-run' ? ', dry run (predicted)' : '';
  return `tailgov ${status.version}: ${status.state}${dry}, ${count} ticks, ${missed} missed`;
}

function servicesTable(services: readonly ServiceReport[], selected: string | undefined): string[] {
  return textTable([
    ['  service', 'load', 'p50', 'tail', 'SLO', '', 'in flight', 'level'],
    ...services.map(({ service, observation, slo, compliance, appliedLevel }) => [
      `${service === selected ? '▸' : ' '} ${service}`,
      `${observation.throughputRps.toFixed(0)} rps`,
      timeOrNone(observation.medianNs),
      timeOrNone(observation.quantileNs),
      `${formatQuantile(slo.quantile)} ${formatNs(slo.latencyNs)}`,
      compliance.met ? 'kept' : 'missed',
      String(observation.inFlight),
      appliedLevel.toFixed(2),
    ]),
  ]);
}

function figuresOf(status: DaemonStatus, service: string | undefined): { label: string; value: string }[] {
  const { last } = status;
  if (last === null) return [];
  const power = powerText(status);
  return [
    { label: 'clocks', value: clocksText(status, last) },
    ...(service === undefined ? [] : [{ label: 'cores', value: coresText(status, last, service) }]),
    ...(power === null ? [] : [{ label: 'power', value: power }]),
  ];
}

/** Domains that run alike together: `cpu 0-3,8 at 2.10 GHz, cpu 4-7 at 800 MHz`. */
function clocksText({ loop }: DaemonStatus, { applied }: TickReport): string {
  const cpusByClock = new Map<string, number[]>();
  for (const { domain, appliedKhz } of applied.frequencies) {
    const clock = appliedKhz === null ? 'an unknown frequency' : formatKhz(appliedKhz);
    const cpus = loop?.domains.find(({ id }) => id === domain)?.cpus ?? [];
    cpusByClock.set(clock, [...(cpusByClock.get(clock) ?? []), ...cpus]);
  }
  return [...cpusByClock].map(([clock, cpus]) => `cpu ${formatCpuList(cpus)} at ${clock}`).join(', ');
}

function coresText({ loop }: DaemonStatus, { applied }: TickReport, service: string): string {
  const cpus = applied.point.cpus[service];
  const all = loop === null ? '' : ` of ${loop.cpus}`;
  return cpus === undefined ? `all${all} cpus` : `${cpus.length}${all} cpus (${formatCpuList(cpus)})`;
}

function powerText({ power }: DaemonStatus): string | null {
  return power === null ? null : `${power.watts.toFixed(1)} W ${describeOrigin(power)}`;
}
