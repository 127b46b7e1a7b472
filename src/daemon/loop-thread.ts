import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { composeGovernor, type Governor } from '../compose/compose-governor.ts';
import { systemClock } from '../core/clock.ts';
import { codeOf, messageOf } from '../core/errors.ts';
import type { Alarm } from '../core/sensor.ts';
import { NS_PER_MS } from '../core/units.ts';
import { controllers } from '../controller/registry.ts';
import { Epoll } from '../native/epoll.ts';
import { EventFd } from '../native/eventfd.ts';
import { Timer } from '../native/timerfd.ts';
import { loadConfig, type Config } from '../policy/load-config.ts';
import type { FromLoop, LoopThreadData, ToLoop } from './loop-messages.ts';

/** The loop wakes at least this often, so that its heartbeat is seen whatever the interval. */
const LONGEST_WAIT_MS = 500;

type Token = 'timer' | 'wake' | 'alarm';

/** @returns true in a thread that was started to be the loop */
export function isLoopThread(data: unknown): data is LoopThreadData {
  return typeof data === 'object' && data !== null && (data as { role?: unknown }).role === 'tailgov-loop';
}

/**
 * The thread that alone calls libbpf and writes sysfs. It waits in one epoll for the next tick, for the kernel's alarm and
 * for the main thread, and never returns to Node's event loop in between.
 */
export function runLoopThread(): void {
  const data = workerData as LoopThreadData;
  const port = parentPort!;
  const post = (message: FromLoop) => port.postMessage(message);
  let governor: Governor | undefined;
  try {
    const config = loadConfig(data.configFile, controllers);
    governor = composeGovernor({
      config,
      dryRun: data.dryRun,
      sysfsRoot: data.sysfsRoot,
      journalPath: data.journalPath,
      log: (level, message) => post({ type: 'log', level, message }),
    });
    govern(governor, config, data, port, post);
  } catch (error) {
    // Whatever was engaged must not stay so: nobody governs from here on.
    const restored = governor === undefined ? [] : tryRelease(governor, post);
    governor?.close();
    const code = codeOf(error);
    const failed = restored.filter((control) => control.outcome === 'failed').map((control) => control.control);
    const suffix = failed.length > 0 ? `; could not restore ${failed.join(', ')}` : '';
    post({ type: 'failed', code, message: `${code === 'internal' ? stackOf(error) : messageOf(error)}${suffix}` });
  }
}

function govern(
  governor: Governor,
  config: Config,
  data: LoopThreadData,
  port: MessagePort,
  post: (message: FromLoop) => void,
) {
  const { loop, sensor } = governor;
  loop.engage();
  const intervalMs = loop.intervalMs;
  post({ type: 'ready', identity: identityOf(governor), intervalMs, onExit: config.onExit });

  const wake = new EventFd(data.wakeFd);
  const timer = new Timer();
  const epoll = new Epoll<Token>();
  epoll.add(timer.fd, 'timer');
  epoll.add(wake.fd, 'wake');
  if (sensor.alarms !== undefined) epoll.add(sensor.alarms.fd, 'alarm');

  const heartbeat = new Int32Array(data.heartbeat);
  const intervalNs = BigInt(Math.round(intervalMs * NS_PER_MS));
  let dueNs = systemClock.monotonicNs() + intervalNs;
  let missed = 0;
  let stopping = false;
  timer.armAt(dueNs);

  while (!stopping) {
    const tokens = epoll.wait(LONGEST_WAIT_MS);
    Atomics.add(heartbeat, 0, 1);
    if (tokens.includes('wake')) {
      wake.drain();
      for (let taken = receiveMessageOnPort(port); taken !== undefined; taken = receiveMessageOnPort(port)) {
        stopping = handle(taken.message as ToLoop) || stopping;
      }
      if (stopping) break;
    }
    const alarms: readonly Alarm[] = tokens.includes('alarm') ? (sensor.alarms?.drain() ?? []) : [];
    const timed = tokens.includes('timer');
    if (!timed && alarms.length === 0) continue;
    const nowNs = systemClock.monotonicNs();
    post({ type: 'tick', report: loop.tick(timed ? dueNs : nowNs, alarms), missed });
    if (timed) {
      timer.readExpirations();
      const behind = (systemClock.monotonicNs() - dueNs) / intervalNs;
      missed += Number(behind);
      dueNs += (behind + 1n) * intervalNs;
      timer.armAt(dueNs);
    }
  }

  const restored = loop.release(config.onExit);
  epoll.close();
  timer.close();
  governor.close();
  post({ type: 'stopped', restored });

  /** @returns true when the loop is to stop */
  function handle(message: ToLoop): boolean {
    switch (message.type) {
      case 'stop':
        return true;
      case 'pause':
        loop.pause();
        break;
      case 'resume':
        loop.resume();
        break;
    }
    post({ type: 'done', id: message.id });
    return false;
  }
}

function tryRelease(governor: Governor, post: (message: FromLoop) => void) {
  try {
    return governor.loop.release('original');
  } catch (error) {
    post({ type: 'log', level: 'error', message: `restoring failed: ${messageOf(error)}` });
    return [];
  }
}

function identityOf({ sensor, actuator }: Governor) {
  return {
    sensorMethod: sensor.method,
    actuatorMethod: actuator.method,
    cpus: actuator.machine.cpus.length,
    domains: actuator.machine.domains.map(({ id, cpus, minKhz, maxKhz }) => ({ id, cpus, minKhz, maxKhz })),
  };
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
