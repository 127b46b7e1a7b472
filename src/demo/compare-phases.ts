import { formatKhz, formatPercent } from '../core/units.ts';
import type { PhaseSummary } from './summarize-phase.ts';

export interface Verdict {
  readonly text: string;
  readonly tone: 'good' | 'mixed' | 'bad';
}

/** What the figures say, in their own words: savings and losses alike. */
export function judge(baseline: PhaseSummary, governed: PhaseSummary): Verdict {
  const saved = 1 - governed.energyJ / baseline.energyJ;
  const cheaper = saved > 0;
  const sensorKept = governed.sensor.p99Ms <= governed.sloMs;
  const clientKept = governed.clientFromDue.p99Ms <= governed.sloMs;
  const slo = `the SLO of ${ms(governed.sloMs)}`;
  const energy = cheaper
    ? `${governed.name} saved ${formatPercent(saved)} of the modelled energy that ${baseline.name} used`
    : `${governed.name} saved nothing: it used ${formatPercent(-saved)} more modelled energy than ${baseline.name}`;
  const p99 = governed.simulated
    ? `simulated p99 was ${ms(governed.sensor.p99Ms)}`
    : `p99 was ${ms(governed.sensor.p99Ms)} by the sensor and ${ms(governed.clientFromDue.p99Ms)} by the client`;
  const kept =
    sensorKept && clientKept
      ? `within ${slo}`
      : !sensorKept && !clientKept
        ? `over ${slo}`
        : `${sensorKept ? 'within' : 'over'} ${slo} by the sensor's account but ${clientKept ? 'within' : 'over'} it by the client's`;
  const baselineMissed = baseline.sensor.p99Ms > baseline.sloMs || baseline.clientFromDue.p99Ms > baseline.sloMs;
  const itsP99 = baseline.simulated
    ? ms(baseline.sensor.p99Ms)
    : `${ms(baseline.sensor.p99Ms)} by the sensor, ${ms(baseline.clientFromDue.p99Ms)} by the client`;
  const excuse = baselineMissed && !(sensorKept && clientKept) ? `; ${baseline.name} missed it, too (${itsP99})` : '';
  return {
    text: `${energy}; ${p99}, ${kept}${excuse}.`,
    tone: sensorKept && clientKept ? (cheaper ? 'good' : 'mixed') : 'bad',
  };
}

/** Rows of a table: the measure, each run, and how the governed one differs from the baseline. */
export function comparisonRows(baseline: PhaseSummary, governed: PhaseSummary): string[][] {
  const row = (label: string, format: (value: number) => string, value: (summary: PhaseSummary) => number) => {
    const [a, b] = [value(baseline), value(governed)];
    return [label, format(a), format(b), difference(a, b)];
  };
  const bare = (label: string, value: (summary: PhaseSummary) => string) => [
    label,
    value(baseline),
    value(governed),
    '',
  ];
  const count = (value: number) => value.toFixed(0);
  const sensor = governed.simulated ? 'simulated' : 'kernel sensor';
  // On the plant the client sees what the sensor sees.
  const ofClient = (...rows: string[][]) => (governed.simulated ? [] : rows);
  return [
    row('energy, modelled', joules, (run) => run.energyJ),
    row('mean power, modelled', watts, (run) => run.meanPowerW),
    row(`p99, ${sensor}`, ms, (run) => run.sensor.p99Ms),
    ...ofClient(
      row('p99, client from write', ms, (run) => run.clientFromWrite.p99Ms),
      row('p99, client from due instant', ms, (run) => run.clientFromDue.p99Ms),
    ),
    row(`p50, ${sensor}`, ms, (run) => run.sensor.p50Ms),
    ...ofClient(row('p50, client from due instant', ms, (run) => run.clientFromDue.p50Ms)),
    bare(`over the SLO, ${sensor}`, (run) => formatPercent(run.sensor.overSloRatio, 2)),
    ...ofClient(bare('over the SLO, client from due', (run) => formatPercent(run.clientFromDue.overSloRatio, 2))),
    row(
      'throughput',
      (value) => `${value.toFixed(0)} rps`,
      (run) => run.throughputRps,
    ),
    row('mean frequency', formatKhz, (run) => run.meanFrequencyKhz),
    bare('busy share of the core', (run) => formatPercent(run.busyRatio)),
    bare('frequency changes', (run) => count(run.frequencyChanges)),
    ...ofClient(
      bare('requests, sensor / client', (run) => `${run.requests} / ${run.clientFromDue.count}`),
      bare('client late, p50 / p99', (run) => `${ms(run.clientLate.p50Ms)} / ${ms(run.clientLate.p99Ms)}`),
    ),
  ];
}

/** A quiet machine stays well below. */
const DISTURBED_RATIO = 0.05;
/** The silicon follows within some milliseconds: more than that between the means is a fault. */
const FREQUENCY_TOLERANCE = 0.05;

/** What the reader has to know before believing the figures; empty when nothing disturbs them. */
export function caveats(baseline: PhaseSummary, governed: PhaseSummary): string[] {
  const runs = [baseline, governed];
  const slowest = Math.min(...runs.map((run) => run.sensor.count)) / 100;
  const notes = [
    `A short run carries few samples: each p99 rests on the ${slowest.toFixed(0)} slowest requests, which come in clusters. Longer: --duration 10min.`,
  ];
  for (const run of runs) {
    if (run.unanswered > 0)
      notes.push(`${run.name}: ${run.unanswered} requests got no reply; they count as over the SLO.`);
    if (run.requests !== run.clientFromDue.count) {
      notes.push(
        `${run.name}: the sensor counted ${run.requests} requests, the client ${run.clientFromDue.count} replies.`,
      );
    }
    if (run.notRestored.length > 0)
      notes.push(`${run.name}: not as before when the daemon had ended: ${run.notRestored.join(', ')}.`);
    if (run.cpuWaitRatio !== null && run.cpuWaitRatio > DISTURBED_RATIO) {
      notes.push(
        `${run.name}: for ${formatPercent(run.cpuWaitRatio)} of the run the server was ready and had no CPU: other processes on this machine disturb the figures.`,
      );
    }
    if (run.meanAppliedKhz !== null && Math.abs(run.meanFrequencyKhz / run.meanAppliedKhz - 1) > FREQUENCY_TOLERANCE) {
      notes.push(
        `${run.name}: the silicon ran at ${formatKhz(run.meanFrequencyKhz)} in the mean, the governor had applied ${formatKhz(run.meanAppliedKhz)}: this run does not show what its policy does.`,
      );
    }
    if (run.clientLate.p99Ms > run.sloMs / 4) {
      notes.push(`${run.name}: the client itself was late by ${ms(run.clientLate.p99Ms)} at p99.`);
    }
  }
  return notes;
}

export const ms = (value: number) => `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
export const watts = (value: number) => `${value.toFixed(2)} W`;
export const joules = (value: number) => `${value.toFixed(value < 1000 ? 1 : 0)} J`;

function difference(a: number, b: number): string {
  if (a === 0) return '';
  const share = b / a - 1;
  return `${share < 0 ? '−' : '+'}${Math.abs(share * 100).toFixed(1)} %`;
}
