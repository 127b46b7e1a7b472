import type { ServiceReport } from '../core/tick-report.ts';
import { formatNs, formatQuantile } from '../core/units.ts';
import type { DaemonStatus } from '../telemetry/daemon-status.ts';

const MOST_SERVICES = 4;

/** The daemon in one line: `governing: cache p99 1.2 ms of 5 ms, level 0.45`. */
export function statusLine({ state, mode, last }: Pick<DaemonStatus, 'state' | 'mode' | 'last'>): string {
  const doing = mode === 'dry-run' && state === 'governing' ? 'dry run, nothing is written' : state;
  if (last === null || last.services.length === 0 || state === 'starting' || state === 'stopping') return doing;
  const shown = last.services.slice(0, MOST_SERVICES).map(serviceText);
  const more = last.services.length - shown.length;
  return `${doing}: ${[...shown, ...(more > 0 ? [`${more} more`] : [])].join('; ')}`;
}

function serviceText({ service, slo, snapshot, observation, appliedLevel }: ServiceReport): string {
  const objective = `${formatQuantile(slo.quantile)} ${measured(observation.quantileNs)} of ${formatNs(slo.latencyNs)}`;
  const latency = snapshot.health === 'active' ? objective : snapshot.health;
  return `${service} ${latency}, level ${appliedLevel.toFixed(2)}`;
}

const measured = (ns: number | null) => (ns === null ? '-' : formatNs(ns));
