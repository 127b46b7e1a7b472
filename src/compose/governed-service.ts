import type { ScheduleReport } from '../core/tick-report.ts';
import type { GovernedService, Law } from '../loop/law.ts';
import type { ServiceConfig } from '../policy/load-config.ts';
import type { Policy, PolicySettings } from '../policy/load-policy.ts';
import { type RuleInForce, scheduleCursor } from '../policy/schedule.ts';

/** What the loop is given of a service that a config describes: the policy's law, or what its schedule makes of it. */
export function governedService({
  name,
  slo,
  policy,
}: Pick<ServiceConfig, 'name' | 'slo' | 'policy'>): GovernedService {
  const own = { name, slo, ...lawOf(policy, policy) };
  if (policy.schedule.length === 0) return own;
  const inForceAt = scheduleCursor(policy.schedule.map(({ firing }) => firing));
  let known: { readonly inForce: RuleInForce; readonly law: Law } | undefined;
  return {
    ...own,
    lawAt(wallMs) {
      const inForce = inForceAt(wallMs);
      if (known?.inForce !== inForce) {
        const settings = inForce.index === null ? policy : policy.schedule[inForce.index]!.settings;
        known = { inForce, law: { ...lawOf(policy, settings), schedule: reportOf(policy, inForce) } };
      }
      return known.law;
    },
  };
}

function lawOf({ fallback }: Policy, { controller, intervalMs, level }: PolicySettings): Law {
  const { min, max, ...slew } = level;
  return {
    controller,
    intervalMs,
    limits: { min, max },
    slew,
    ...(fallback === null ? {} : { fallback: fallback.controller }),
  };
}

function reportOf({ schedule }: Policy, { index, sinceMs, next }: RuleInForce): ScheduleReport {
  return {
    rule: index === null ? null : schedule[index]!.cron,
    since: index === null ? null : new Date(sinceMs).toISOString(),
    next: next === null ? null : { rule: schedule[next.index]!.cron, at: new Date(next.atMs).toISOString() },
  };
}
