import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Snapshot } from '../core/sensor.ts';
import type { TickReport } from '../core/tick-report.ts';
import { NS_PER_MS } from '../core/units.ts';
import { openSensor } from '../sensor/open-sensor.ts';
import { controlClient, ControlError, type ControlClient } from '../telemetry/control-client.ts';
import type { DaemonStatus } from '../telemetry/daemon-status.ts';
import { SERVER_FREQUENCY_FILE, SERVICE_NAME, WARM_UP_CYCLES } from './demo-settings.ts';
import { Ending } from './ending.ts';
import type { LoadSchedule } from './load-schedule.ts';
import { changedControls, readControls } from './mock-controls.ts';
import { monotonicMs, type CoreSpan } from './modelled-core.ts';
import { Part } from './part.ts';
import type { PhaseRecord, SensorWindow } from './phase-record.ts';

export interface PhaseOptions {
  readonly name: string;
  readonly policyFile: string;
  readonly sloMs: number;
  readonly durationMs: number;
  readonly windowMs: number;
  readonly schedule: LoadSchedule;
  readonly treeDirectory: string;
  /** Where this phase may write its files. */
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: PhaseProgress) => void;
}

export interface PhaseProgress {
  readonly name: string;
  /** CLOCK_MONOTONIC, in ms. */
  readonly startMs: number;
  readonly elapsedMs: number;
  readonly ticks: readonly TickReport[];
  readonly spans: readonly CoreSpan[];
}

export const POLL_MS = 250;
const DAEMON_START_LIMIT_MS = 40_000;
/** How much longer than the run the daemon may live by itself, should the demo be killed. */
const DAEMON_SPARE_MS = 30_000;
/** The mock's silicon answers a write shortly after it: this long on a machine that is very busy. */
const SILICON_ANSWER_MS = 3000;

/**
 * Runs one policy: a fresh server, client and daemon, the same schedule. Ends with every process gone, however it ends.
 *
 * @throws SensorError where the kernel does not let us measure; Error when a part fails, or the signal aborts
 */
export async function runPhase(options: PhaseOptions): Promise<PhaseRecord> {
  const { name, durationMs, treeDirectory, directory, schedule } = options;
  mkdirSync(directory, { recursive: true });
  const parts: Part[] = [];
  const ending = new Ending(options.signal);
  const start = (partName: string, args: readonly string[], channel: boolean) => {
    const part = new Part(partName, args, { channel, onUnexpectedEnd: ending.fail });
    // The last one started is the first one stopped: the daemon before what it measures.
    parts.unshift(part);
    return part;
  };
  const controlsBefore = readControls(treeDirectory);
  let sensor: ReturnType<typeof openSensor> | undefined;
  try {
    const server = start('the server', ['demo', 'part', 'server', join(treeDirectory, SERVER_FREQUENCY_FILE)], true);
    const serverPreferred = server.prefer();
    const { port } = await ending.or(server.next('listening'));
    const spans: CoreSpan[] = [];
    let cpuWaitMs: number | null = null;
    server.onMessage((message) => {
      if (message.kind !== 'spans') return;
      spans.push(...message.spans);
      cpuWaitMs = message.cpuWaitMs;
    });
    sensor = openSensor({
      targets: [{ name: SERVICE_NAME, ports: [port], sloLatencyNs: options.sloMs * NS_PER_MS }],
    });

    const client = start('the client', ['demo', 'part', 'load'], true);
    const preferred = client.prefer() && serverPreferred;
    client.send({ kind: 'warm-up', port, cycles: WARM_UP_CYCLES });
    await ending.or(client.next('ready'));

    const runtime = join(directory, 'run');
    const config = join(directory, 'tailgov.yaml');
    writeFileSync(config, configText(port, options));
    const lifeS = Math.ceil((durationMs + DAEMON_SPARE_MS) / 1000);
    const daemon = start(
      'the daemon',
      ['run', '--config', config, '--sysfs', treeDirectory, '--runtime', runtime, '--duration', `${lifeS}s`],
      false,
    );
    const control = controlClient(join(runtime, 'control.sock'));
    const status = await untilGoverning(control, ending);

    client.send({ kind: 'run', ...schedule });
    const { atMs: startMs } = await ending.or(client.next('started'));
    let finished = false;
    const resultComes = client.next('load-result').then((message) => {
      finished = true;
      return message.result;
    });

    const cpuWaitBeforeMs: number | null = cpuWaitMs;
    const windows: SensorWindow[] = [];
    const ticks: TickReport[] = [];
    let lastTick = status.last?.tick ?? -1;
    // What came before the run is not the run's.
    await ending.or(sleep(Math.max(0, startMs - monotonicMs())));
    sensor.read();
    for (let poll = 1; !finished; poll++) {
      await ending.or(sleep(Math.max(1, startMs + poll * POLL_MS - monotonicMs())));
      if ((poll * POLL_MS) % options.windowMs === 0) windows.push(windowOf(sensor.read()[0]!, startMs));
      const news = await ending.or(control.ticksAfter(lastTick));
      lastTick = news.at(-1)?.tick ?? lastTick;
      ticks.push(...news.filter((tick) => tick.atMs >= startMs && tick.atMs <= startMs + durationMs));
      options.onProgress({ name, startMs, elapsedMs: monotonicMs() - startMs, ticks, spans });
    }
    const load = await ending.or(resultComes);
    // The server's book for the end of the run is on its way.
    await untilPast(startMs + durationMs, () => spans.at(-1)?.toMs ?? 0, ending);
    windows.push(windowOf(sensor.read()[0]!, startMs));
    const cpuWaitRatio = ratioOf(cpuWaitBeforeMs, cpuWaitMs, monotonicMs() - startMs);

    await daemon.stop();
    const notRestored = await untilRestored(controlsBefore, treeDirectory);
    return {
      name,
      policyFile: options.policyFile,
      startMs,
      durationMs,
      schedule,
      load,
      windows,
      ticks,
      spans,
      sensorMethod: sensor.method,
      actuatorMethod: status.loop?.actuatorMethod ?? 'unknown',
      cpuWaitRatio,
      preferred,
      notRestored,
    };
  } finally {
    for (const part of parts) await part.stop();
    sensor?.close();
    ending.close();
  }
}

function configText(port: number, { policyFile, sloMs }: PhaseOptions): string {
  return `services:
  - name: ${SERVICE_NAME}
    target: { port: ${port} }
    slo: { quantile: p99, latency: ${sloMs}ms, window: 1min }
    policy: ${JSON.stringify(policyFile)}
actuators: { frequency: { method: auto } }
telemetry: { metrics: off }
onExit: original
`;
}

/** Resolves once the daemon has made its first tick. */
async function untilGoverning(control: ControlClient, ending: Ending): Promise<DaemonStatus> {
  const limitMs = monotonicMs() + DAEMON_START_LIMIT_MS;
  for (;;) {
    try {
      const now = await ending.or(control.status());
      if (now.last !== null) return now;
    } catch (error) {
      if (!(error instanceof ControlError && error.code === 'not-running')) throw error;
    }
    if (monotonicMs() > limitMs) throw new Error(`the daemon does not govern after ${DAEMON_START_LIMIT_MS / 1000} s`);
    await ending.or(sleep(50));
  }
}

export function windowOf(snapshot: Snapshot, startMs: number): SensorWindow {
  return {
    atMs: Number(snapshot.atNs) / NS_PER_MS - startMs,
    windowMs: snapshot.windowNs / NS_PER_MS,
    arrivals: snapshot.arrivals,
    requests: snapshot.requests,
    overSlo: snapshot.overSlo,
    dropped: snapshot.dropped,
    latency: snapshot.latency,
    socketWait: snapshot.socketWait,
  };
}

async function untilPast(limitMs: number, reachedMs: () => number, ending: Ending): Promise<void> {
  while (reachedMs() < limitMs) await ending.or(sleep(50));
}

async function untilRestored(before: ReadonlyMap<string, string>, treeDirectory: string): Promise<string[]> {
  const limitMs = monotonicMs() + SILICON_ANSWER_MS;
  for (;;) {
    const changed = changedControls(before, readControls(treeDirectory));
    if (changed.length === 0 || monotonicMs() > limitMs) return changed;
    await sleep(50);
  }
}

function ratioOf(beforeMs: number | null, afterMs: number | null, lengthMs: number): number | null {
  return beforeMs === null || afterMs === null ? null : (afterMs - beforeMs) / lengthMs;
}
