import { Command } from 'commander';
import { formatCpuList } from '../core/cpu-list.ts';
import type { Decision, ServiceReport, TickReport } from '../core/tick-report.ts';
import { formatKhz, formatNs, formatQuantile, NS_PER_US } from '../core/units.ts';
import { controlClient } from '../telemetry/control-client.ts';
import type { ChangeStatus, DaemonStatus, Http2Totals, PolicyInUse } from '../telemetry/daemon-status.ts';
import { describeOrigin } from '../telemetry/power-meter.ts';
import { controlSocketIn, runtimeOption } from './runtime-directory.ts';

export function statusCommand(): Command {
  return new Command('status')
    .description('what the running daemon sees and does')
    .addOption(runtimeOption())
    .option('--json', 'the whole status as one JSON object')
    .addHelpText('after', '\nExample:\n  tailgov status --json')
    .action(async (options: { runtime: string; json?: true }) => {
      const status = await controlClient(controlSocketIn(options.runtime)).status();
      process.stdout.write(
        options.json === true ? `${JSON.stringify(status)}\n` : `${statusLines(status).join('\n')}\n`,
      );
    });
}

/** The status for humans. */
export function statusLines(status: DaemonStatus): string[] {
  const dry = status.mode === 'dry-run' ? ', dry run: nothing is written, latencies are predicted' : '';
  const until = status.pauseEnds === null ? '' : ` until ${status.pauseEnds}`;
  const lines = [
    `tailgov ${status.version}, pid ${status.pid}: ${status.state}${until}${dry}`,
    `  config  ${status.config}`,
  ];
  if (status.loop !== null) {
    lines.push(`  sensor  ${status.loop.sensorMethod}`);
    const { cpus, domains, actuatorMethod } = status.loop;
    const frequencies = `${domains.length} frequency domains below ${status.sysfs}, by ${actuatorMethod}`;
    const where = domains.length === 0 ? `${status.sysfs}, no cpufreq: which of them services have` : frequencies;
    lines.push(`  cpus    ${cpus} in ${where}`);
  }
  const { count, missed, faults } = status.ticks;
  lines.push(`  ticks   ${count}, ${missed} missed, ${faults} ${faults === 1 ? 'fault' : 'faults'}`);
  lines.push(...changeLines(status.changes));
  if (status.last === null) return lines;
  if (status.last.applied.frequencies.length > 0) lines.push(`  clocks  ${frequencies(status.last)}`);
  if (status.power !== null) lines.push(`  power   ${status.power.watts.toFixed(1)} W ${describeOrigin(status.power)}`);
  for (const { kind, control, detail } of status.last.applied.disturbances ?? []) {
    lines.push(`  ${kind.padEnd('foreign-writer'.length)}  ${control}: ${detail}`);
  }
  for (const service of status.last.services) {
    const policy = status.changes.policies.find((inUse) => inUse.service === service.service);
    lines.push(
      '',
      ...serviceLines(service),
      ...http2Lines(status.http2[service.service]),
      ...cpuLines(status.last, service.service),
      ...policyLines(service.decision, policy),
    );
  }
  return lines;
}

function changeLines({ made, refused, refusal, needsRestart }: ChangeStatus): string[] {
  const lines = made + refused === 0 ? [] : [`  changes ${made} made, ${refused} refused`];
  if (refusal !== null) {
    lines.push(`  refused ${refusal.at}: the files are bad, what is shown here still runs`);
    lines.push(...refusal.problems.map((problem) => `          ${problem}`));
  }
  if (needsRestart.length > 0) lines.push(`  restart needed for what was changed in ${needsRestart.join(', ')}`);
  return lines;
}

function policyLines({ failed, schedule }: Decision, policy: PolicyInUse | undefined): string[] {
  const lines: string[] = [];
  if (policy !== undefined) {
    const passing = policy.endsAt === undefined ? 'until a restart' : `until ${policy.endsAt} unless that is put off`;
    const note = policy.lasts ? '' : `, ${passing}`;
    lines.push(`  policy  ${policy.file} since ${policy.since}${note}`);
  }
  if (failed !== undefined) lines.push(`  failed  the policy’s controller was given up: ${failed}`);
  if (schedule !== undefined) {
    const inForce = schedule.rule === null ? 'no rule yet' : `"${schedule.rule}" since ${schedule.since}`;
    const next = schedule.next === null ? '' : `; next "${schedule.next.rule}" at ${schedule.next.at}`;
    lines.push(`  rule    ${inForce}${next}`);
  }
  return lines;
}

function cpuLines({ applied }: TickReport, name: string): string[] {
  const cpus = applied.cpus?.find(({ service }) => service === name);
  if (cpus === undefined) return [];
  const { method, appliedCpus, detail } = cpus;
  const shown = appliedCpus === null ? 'as it has them' : `${appliedCpus.length} (${formatCpuList(appliedCpus)})`;
  const how = method === null ? '' : ` by ${method}`;
  return [`  cpus    ${shown}${how}${detail === undefined ? '' : `: ${detail}`}`];
}

function frequencies(tick: TickReport): string {
  const seen = tick.applied.frequencies.flatMap(({ appliedKhz }) =>
    appliedKhz === null ? [] : [appliedKhz as number],
  );
  if (seen.length === 0) return 'not readable';
  const [low, high] = [Math.min(...seen), Math.max(...seen)];
  return low === high ? `capped at ${formatKhz(low)}` : `capped at ${formatKhz(low)} to ${formatKhz(high)}`;
}

function http2Lines(http2: Http2Totals | undefined): string[] {
  if (http2 === undefined) return [];
  const { streamConnections, turnConnections, lostConnections, streams, turns, streaming } = http2;
  return [
    `  http2   connections: ${streamConnections} by stream, ${turnConnections} by turn, ${lostConnections} lost; requests: ${streams} streams, ${turns} turns; ${streaming} streaming`,
  ];
}

function serviceLines({
  service,
  slo,
  snapshot,
  observation,
  decision,
  appliedLevel,
  compliance,
}: ServiceReport): string[] {
  const quantile = formatQuantile(slo.quantile);
  const measured = observation.quantileNs === null ? 'no requests yet' : formatNs(observation.quantileNs);
  const share = compliance.requests === 0 ? 0 : (100 * compliance.overSlo) / compliance.requests;
  return [
    `${service}: ${snapshot.health}, ${Math.round(observation.throughputRps)} ${snapshot.unit}s/s, ${snapshot.inFlight} in flight`,
    `  ${quantile}     ${measured}, objective ${formatNs(slo.latencyNs)}; socket wait ${formatNs(snapshot.socketWait.p99Us * NS_PER_US)} at p99`,
    `  over    ${compliance.overSlo} of ${compliance.requests} requests (${share.toFixed(2)} %) in ${Math.round(compliance.windowMs / 1000)} s: ${compliance.met ? 'met' : 'missed'}`,
    `  level   ${appliedLevel.toFixed(2)} by ${decision.controller}: ${decision.reason}`,
  ];
}
