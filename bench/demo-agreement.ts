/**
 * Do the demo on real eBPF and the simulator, configured alike, agree? `npx tsx bench/demo-agreement.ts [60s]` runs the
 * demo, both policies for half of the time each, and then the plant three times for each policy:
 *
 *   planned    requests when they were due, with the work around them that the demo's settings assume
 *   as sent    requests when the client really wrote them
 *   as worked  the same, with the work around them that was measured
 *
 * So what is left between two lines is what the line before did not know. Needs root, a built dist/ and a quiet machine.
 */
import { fileURLToPath } from 'node:url';
import { formatKhz, formatNs, NS_PER_MS, parseDurationNs } from '../src/core/units.ts';
import { DEFAULT_SLO_MS, DEMO_POWER_MODEL, windowMsFor } from '../src/demo/demo-settings.ts';
import type { LoadSchedule } from '../src/demo/load-schedule.ts';
import type { PhaseRecord } from '../src/demo/phase-record.ts';
import { runDemo } from '../src/demo/run-demo.ts';
import { simulatePhase } from '../src/demo/simulate-phase.ts';
import { clipSpans, summarizePhase, type PhaseSummary } from '../src/demo/summarize-phase.ts';
import { textTable } from '../src/telemetry/terminal-text.ts';

const P99_TOLERANCE = 0.1;
const ENERGY_TOLERANCE = 0.05;

const file = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const durationMs = (parseDurationNs(process.argv[2] ?? '60s') ?? 60e9) / NS_PER_MS;
const signal = new AbortController().signal;
// The demo starts its parts from the program that it runs in.
process.argv[1] = file('dist/cli.js');

const demo = await runDemo({
  durationMs,
  policyFile: file('policies/pid.yaml'),
  baselineFile: file('policies/performance.yaml'),
  mocksDirectory: file('sysfs-mocks'),
  sloMs: DEFAULT_SLO_MS,
  seed: 1,
  keep: false,
  simulated: false,
  speed: 1,
  signal,
  onProgress: () => {},
  onSimulated: (because) => {
    throw new Error(`nothing to compare with: ${because}`);
  },
});

for (const [index, record] of demo.records.entries()) {
  const real = demo.summaries[index]!;
  const workMs = workAroundMs(record);
  const sent = asSent(record);
  const runs: readonly (readonly [string, PhaseSummary])[] = [
    ['real, eBPF', real],
    ['planned', await simulated(record, record.schedule)],
    ['as sent', await simulated(record, sent)],
    ['as worked', await simulated(record, sent, workMs)],
  ];
  console.log(`\n${record.name}, ${record.durationMs / 1000} s, ${real.requests} requests`);
  const rows = runs.map(([name, run]) => [
    name,
    ms(run.sensor.p50Ms),
    ms(run.sensor.p99Ms),
    share(run.sensor.p99Ms / real.sensor.p99Ms - 1),
    `${run.energyJ.toFixed(1)} J`,
    share(run.energyJ / real.energyJ - 1),
    formatKhz(run.meanFrequencyKhz),
    share(run.busyRatio),
    String(run.frequencyChanges),
  ]);
  const columns = ['', 'p50', 'p99', 'off', 'energy, modelled', 'off', 'mean frequency', 'busy', 'changes'];
  console.log(textTable([columns, ...rows]).join('\n'));
  console.log(
    `the client was late by ${ms(real.clientLate.p50Ms)} (p50), ${ms(real.clientLate.p99Ms)} (p99); work around a request ${ms(workMs)}; ` +
      `the server was ready without a CPU for ${real.cpuWaitRatio === null ? 'an unknown share' : share(real.cpuWaitRatio)} of the time`,
  );
  const [, planned] = runs[1]!;
  const p99Off = Math.abs(planned.sensor.p99Ms / real.sensor.p99Ms - 1);
  const energyOff = Math.abs(planned.energyJ / real.energyJ - 1);
  console.log(
    `as planned: p99 ${p99Off <= P99_TOLERANCE ? 'agrees' : 'PARTS'} within ${share(P99_TOLERANCE)}, ` +
      `energy ${energyOff <= ENERGY_TOLERANCE ? 'agrees' : 'PARTS'} within ${share(ENERGY_TOLERANCE)}`,
  );
}

async function simulated(record: PhaseRecord, schedule: LoadSchedule, around?: number): Promise<PhaseSummary> {
  const run = await simulatePhase({
    name: record.name,
    policyFile: record.policyFile,
    sloMs: DEFAULT_SLO_MS,
    durationMs: record.durationMs,
    windowMs: windowMsFor(record.durationMs),
    schedule,
    speed: 1e6,
    signal,
    onProgress: () => {},
    ...(around === undefined ? {} : { workAroundMs: around }),
  });
  return summarizePhase(run, DEFAULT_SLO_MS, DEMO_POWER_MODEL);
}

/** The requests when they were written, in that order. */
function asSent({ schedule, load }: PhaseRecord): LoadSchedule {
  const sent = [...schedule.dueMs].map((due, i) => [due + load.lateMs[i]!, schedule.cycles[i]!] as const);
  sent.sort(([a], [b]) => a - b);
  return { dueMs: Float64Array.from(sent, ([at]) => at), cycles: Float64Array.from(sent, ([, cycles]) => cycles) };
}

/** What the core was busy with besides the requests' cycles, a request. */
function workAroundMs({ spans, schedule, startMs, durationMs: lengthMs }: PhaseRecord): number {
  const own = clipSpans(spans, startMs, startMs + lengthMs);
  const busyMs = own.reduce((sum, span) => sum + span.busyMs, 0);
  const busyCycles = own.reduce((sum, span) => sum + span.busyMs * span.frequencyKhz, 0);
  const cycles = schedule.cycles.reduce((sum, each) => sum + each, 0);
  // Its time is counted at the frequency of the span that it fell into: the mean while busy.
  return (busyCycles - cycles) / (busyCycles / busyMs) / schedule.cycles.length;
}

function ms(value: number): string {
  return formatNs(value * NS_PER_MS);
}

function share(value: number): string {
  return `${(value * 100).toFixed(1)} %`;
}
