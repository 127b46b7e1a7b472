import { describePowerModel, type PowerModel } from '../core/power-model.ts';
import type { Health } from '../core/sensor.ts';
import type { Slo } from '../core/slo.ts';
import type { Compliance, LoopMode, ScheduleReport, TickReport } from '../core/tick-report.ts';
import type { DaemonStatus, ShownPolicy } from './daemon-status.ts';
import type { PowerOrigin } from './power-meter.ts';
import {
  type DashboardHistory,
  type DecisionEntry,
  HEAT_ROW_BOUNDS_US,
  type PolicyEntry,
  type Second,
} from './dashboard-history.ts';

/** `GET /dashboard/data?after=SECOND`: what the page draws. For the page alone: it may change with it. */
export interface DashboardData {
  readonly version: string;
  readonly startedAtMs: number;
  readonly state: DaemonStatus['state'];
  readonly mode: LoopMode;
  readonly sensorMethod: string | null;
  readonly actuatorMethod: string | null;
  readonly domains: readonly { readonly id: string; readonly cpus: readonly number[]; readonly maxKhz: number }[];
  /** `about`: where the figures come from, and what is not in them. */
  readonly power: { readonly source: PowerOrigin['source']; readonly of: string; readonly about: string } | null;
  readonly heatRowBoundsUs: readonly number[];
  /** As of the last tick. */
  readonly services: readonly ServiceNow[];
  readonly policies: readonly PolicyEntry[];
  /** News since the second that was asked for, oldest first. */
  readonly seconds: readonly Second[];
  readonly decisions: readonly DecisionEntry[];
}

export interface ServiceNow {
  readonly name: string;
  readonly slo: Slo;
  readonly health: Health;
  readonly compliance: Compliance;
  readonly utilization: number | null;
  readonly policy: string;
  readonly controller: string;
  readonly reason: string;
  readonly failed: string | null;
  readonly schedule: ScheduleReport | null;
}

/** What the page may know of the daemon: not its process, not its files. */
export interface DashboardSource {
  readonly status: Pick<DaemonStatus, 'version' | 'startedAt' | 'state' | 'mode' | 'loop'>;
  readonly last: TickReport | null;
  readonly power: PowerOrigin | null;
  /** Of modelled power. */
  readonly powerModel: PowerModel | null;
  readonly policyOf: (service: string) => ShownPolicy;
  readonly history: DashboardHistory;
}

/** @param query `after`: the last second that the page has; `started`: the daemon that it has it from */
export function dashboardData(source: DashboardSource, query: URLSearchParams): DashboardData {
  const { status, last, power, powerModel, policyOf, history } = source;
  const startedAtMs = Date.parse(status.startedAt);
  const known = Number(query.get('after') ?? NaN);
  // Another daemon's seconds are not ours.
  const after = Number.isFinite(known) && Number(query.get('started')) === startedAtMs ? known : -1;
  return {
    version: status.version,
    startedAtMs,
    state: status.state,
    mode: status.mode,
    sensorMethod: status.loop?.sensorMethod ?? null,
    actuatorMethod: status.loop?.actuatorMethod ?? null,
    domains: (status.loop?.domains ?? []).map(({ id, cpus, maxKhz }) => ({ id, cpus, maxKhz })),
    power: power === null ? null : aboutPower(power, powerModel),
    heatRowBoundsUs: HEAT_ROW_BOUNDS_US,
    services: (last?.services ?? []).map(({ service, slo, snapshot, compliance, observation, decision }) => ({
      name: service,
      slo,
      health: snapshot.health,
      compliance,
      utilization: observation.utilization,
      policy: policyOf(service).policy,
      controller: decision.controller,
      reason: decision.reason,
      failed: decision.failed ?? null,
      schedule: decision.schedule ?? null,
    })),
    policies: history.policies,
    seconds: history.secondsAfter(after),
    decisions: history.decisionsAfter(after),
  };
}

function aboutPower(origin: PowerOrigin, model: PowerModel | null): NonNullable<DashboardData['power']> {
  const { source } = origin;
  if (source === 'measured') {
    const about =
      'Measured by the RAPL counters of the CPU packages. Leaves out: memory, disks, fans, the power supply.';
    return { source, of: origin.zones.join(', '), about };
  }
  const about = model === null ? '' : `${describePowerModel(model)}. ${model.source}. Leaves out: ${model.leavesOut}.`;
  return { source, of: origin.model, about };
}
