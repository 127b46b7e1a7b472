import { setTimeout as sleep } from 'node:timers/promises';
import { composeSimulation } from '../compose/compose-simulation.ts';
import { controllers } from '../compose/controllers.ts';
import type { Snapshot } from '../core/sensor.ts';
import type { TickReport } from '../core/tick-report.ts';
import { NS_PER_MS } from '../core/units.ts';
import { loadPolicy } from '../policy/load-policy.ts';
import { mergeSnapshots } from '../sensor/merge-snapshots.ts';
import { QUANTILE, SERVER_DOMAIN } from './demo-settings.ts';
import { monotonicMs, type CoreSpan } from './modelled-core.ts';
import type { PhaseRecord, SensorWindow } from './phase-record.ts';
import { POLL_MS, windowOf, type PhaseOptions } from './run-phase.ts';
import { demoServer, demoService } from './simulated-server.ts';

export interface SimulatedPhaseOptions extends Omit<PhaseOptions, 'treeDirectory' | 'directory'> {
  /** How many times faster than real time simulated time passes. */
  readonly speed: number;
  /** What a request takes besides its cycles; as the demo's settings have it where not given. */
  readonly workAroundMs?: number;
}

const COMPLIANCE_WINDOW_MS = 60_000;

/**
 * Runs one policy as `runPhase` does, on the plant in place of this machine: the same loop and controllers, the same
 * requests, the same modelled silicon. The instant 0 of its clock is the start of the run.
 *
 * @throws the signal's reason when that aborts
 */
export async function simulatePhase(options: SimulatedPhaseOptions): Promise<PhaseRecord> {
  const { name, policyFile, schedule, durationMs, windowMs, signal } = options;
  const slo = { quantile: QUANTILE, latencyNs: options.sloMs * NS_PER_MS, windowMs: COMPLIANCE_WINDOW_MS };
  const latencyMs = new Float64Array(schedule.dueMs.length).fill(Number.NaN);
  let replies = 0;
  const { loop, simulation, tickBy } = composeSimulation({
    server: demoServer,
    service: demoService(schedule, slo.latencyNs, options.workAroundMs),
    policy: loadPolicy(policyFile, controllers),
    slo,
    seed: 0,
    // One worker and one queue: replies leave in the order in which requests came.
    onCompletion: (_, arrivalNs, __, completionNs) => (latencyMs[replies++] = (completionNs - arrivalNs) / NS_PER_MS),
  });
  const windows: SensorWindow[] = [];
  const ticks: TickReport[] = [];
  const spans: CoreSpan[] = [];
  const pace = pacer(options.speed, signal);
  let window: Snapshot | null = null;
  const endWindow = () => {
    if (window !== null) windows.push(windowOf(window, 0));
    window = null;
  };

  loop.engage();
  let frequencyKhz: number = demoServer.machine.domains[0]!.allowedMaxKhz;
  let dueMs = loop.intervalMs;
  for (let fromMs = 0, pollMs = POLL_MS; fromMs < durationMs || replies < latencyMs.length;) {
    const report = tickBy(dueMs * NS_PER_MS);
    const toMs = simulation.nowNs / NS_PER_MS;
    // An alarm comes in between: the tick that is due stays due.
    if (toMs >= dueMs) dueMs += loop.intervalMs;
    const snapshot = loop.snapshots[0]!;
    spans.push({ fromMs, toMs, frequencyKhz, busyMs: (snapshot.cpuTimeNs ?? 0) / NS_PER_MS });
    window = window === null ? snapshot : mergeSnapshots(window, snapshot);
    if (Math.floor(toMs / windowMs) > Math.floor(fromMs / windowMs)) endWindow();
    if (toMs <= durationMs) ticks.push(report);
    frequencyKhz = report.applied.point.frequencyKhz[SERVER_DOMAIN] ?? frequencyKhz;
    fromMs = toMs;
    if (toMs < pollMs) continue;
    pollMs += POLL_MS;
    options.onProgress({ name, startMs: 0, elapsedMs: toMs, ticks, spans });
    await pace(toMs);
  }
  endWindow();
  return {
    name,
    policyFile,
    startMs: 0,
    durationMs,
    schedule,
    load: { lateMs: new Float64Array(latencyMs.length), latencyMs, failures: 0, connections: 0 },
    windows,
    ticks,
    spans,
    sensorMethod: 'simulated',
    actuatorMethod: 'simulated',
    cpuWaitRatio: null,
    preferred: false,
    notRestored: [],
  };
}

/** Lets real time catch up with simulated time, and signals be heard. */
function pacer(speed: number, signal: AbortSignal): (simulatedMs: number) => Promise<void> {
  const beganMs = monotonicMs();
  return async (simulatedMs) => {
    await sleep(Math.max(0, beganMs + simulatedMs / speed - monotonicMs()));
    signal.throwIfAborted();
  };
}
