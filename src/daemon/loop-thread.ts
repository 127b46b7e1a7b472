import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { composeGovernor, type Governor } from '../compose/compose-governor.ts';
import { systemClock } from '../core/clock.ts';
import { codeOf, messageOf } from '../core/errors.ts';
import { type Alarm, ALARM_KINDS } from '../core/sensor.ts';
import type { TickReport } from '../core/tick-report.ts';
import { Punctuality, type Pace } from '../loop/punctuality.ts';
import { NS_PER_S } from '../core/units.ts';
import { controllers } from '../compose/controllers.ts';
import { Epoll } from '../native/epoll.ts';
import { EventFd } from '../native/eventfd.ts';
import { Timer } from '../native/timerfd.ts';
import { ConfigLoader, type ConfigSources } from '../policy/config-loader.ts';
import type { Config } from '../policy/load-config.ts';
import { Beat, stepMs } from './beat.ts';
import { claimCpu } from './claim-cpu.ts';
import { garbageCollector } from './collect-garbage.ts';
import type { FromLoop, LoopThreadData, ToLoop } from './loop-messages.ts';
import { ReportGate } from './report-gate.ts';
import { TickGatherer } from './tick-gatherer.ts';

/** The loop wakes at least this often, so that its heartbeat is seen whatever the interval. Longer than a rest, which is a beat. */
const LONGEST_WAIT_MS = 600;

/** Garbage is collected after a tick, about so often, before there is so much that it is collected amid one. */
const COLLECTION_INTERVAL_NS = BigInt(3 * NS_PER_S);

const PACES: Readonly<Record<Pace, string>> = {
  punctual: 'the loop keeps time again: governing and reporting as before',
  hurried: 'the loop misses ticks: it reports once a second until it keeps time again',
  overrun: 'the loop cannot keep time: every service has the highest level that its policy allows until it can',
};

type Token = 'timer' | 'wake' | 'alarm';

/**
 * The thread that alone calls libbpf and writes sysfs. It waits in one epoll for the next tick, for the kernel's alarm and
 * for the main thread, and never returns to Node's event loop in between.
 */
export function runLoopThread(): void {
  const data = workerData as LoopThreadData;
  const port = parentPort!;
  const post = (message: FromLoop) => port.postMessage(message);
  const heartbeat = new Int32Array(data.heartbeat);
  const alive = () => void Atomics.add(heartbeat, 0, 1);
  let governor: Governor | undefined;
  try {
    const loader = new ConfigLoader(controllers);
    const config = loader.parse(data.sources);
    governor = composeGovernor({
      config,
      dryRun: data.dryRun,
      sysfsRoot: data.sysfsRoot,
      journalPath: data.journalPath,
      ...(data.record === undefined ? {} : { record: data.record }),
      log: (level, message) => post({ type: 'log', level, message }),
      alive,
    });
    govern(governor, config, loader, data, port, post, alive);
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
  loader: ConfigLoader,
  data: LoopThreadData,
  port: MessagePort,
  post: (message: FromLoop) => void,
  alive: () => void,
) {
  const { loop } = governor;
  loop.engage();
  const scheduling = claimCpu(data.scheduling, (level, message) => post({ type: 'log', level, message }));
  post({ type: 'log', level: 'debug', message: `the loop's thread is scheduled as ${scheduling}` });
  post({ type: 'ready', identity: identityOf(governor), intervalMs: loop.intervalMs, onExit: config.onExit });

  const wake = new EventFd(data.wakeFd);
  const timer = new Timer();
  const epoll = new Epoll<Token>();
  epoll.add(timer.fd, 'timer');
  epoll.add(wake.fd, 'wake');
  watchAlarms();

  const ticks = new TickGatherer(systemClock, post);
  let current = config;
  /** Changes that take longer than the rest of an interval may have left: made right after a tick. */
  const afterTick: (() => void)[] = [];
  const beat = new Beat(systemClock.monotonicNs(), loop.intervalMs);
  const collectGarbage = garbageCollector();
  let collectedAtNs = systemClock.monotonicNs();
  let missed = 0;
  const punctuality = new Punctuality();
  const reports = new ReportGate();
  let { machine } = governor.actuator;
  let { method } = governor.sensor;
  let stopping = false;
  /** A change leaves behind what had grown old: the law and the config before it. */
  let changed = false;
  /**
   * The alarms that were answered since the timer's last tick, by target and kind: a service that is late for long must not make
   * us spin.
   */
  const answered = new Set<string>();
  arm();
  // What the start has left behind.
  collectGarbage('all');

  while (!stopping) {
    const tokens = epoll.wait(LONGEST_WAIT_MS);
    alive();
    if (tokens.includes('wake')) {
      wake.drain();
      for (let taken = receiveMessageOnPort(port); taken !== undefined; taken = receiveMessageOnPort(port)) {
        stopping = handle(taken.message as ToLoop) || stopping;
      }
      if (stopping) break;
    }
    const alarms: readonly Alarm[] = tokens.includes('alarm') ? (governor.sensor.alarms?.drain() ?? []) : [];
    const woken = tokens.includes('timer');
    const timed = woken && systemClock.monotonicNs() >= beat.dueNs;
    if (woken) answered.clear();
    const urgent = alarms.some((alarm) => !answered.has(keyOf(alarm)) && loop.canRise(alarm.target));
    if (woken || urgent) {
      const nowNs = systemClock.monotonicNs();
      const { recorder } = governor;
      const levelsBefore = recorder?.services.map((name) => loop.levelOf(name)) ?? [];
      const report = loop.tick(timed ? beat.dueNs : nowNs, alarms, !timed);
      recorder?.predicted(loop.snapshots, levelsBefore);
      if (reports.passes(punctuality.pace, report.faults.length, nowNs)) {
        ticks.add(report, missed, loop.snapshots, stepMs(loop.intervalMs, loop.resting));
      }
      if (woken) disarmUseless(report.services);
      // One that comes together with the tick leaves the interval after it its own.
      else for (const alarm of alarms) answered.add(keyOf(alarm));
      if (governor.actuator.machine !== machine || governor.sensor.method !== method) {
        ({ machine } = governor.actuator);
        ({ method } = governor.sensor);
        post({ type: 'identity', identity: identityOf(governor) });
      }
    }
    if (timed) {
      const missedNow = beat.ticked(systemClock.monotonicNs());
      missed += missedNow;
      keepPace(missedNow);
      for (const change of afterTick.splice(0)) change();
      if (systemClock.monotonicNs() - collectedAtNs > COLLECTION_INTERVAL_NS) {
        collectGarbage(changed ? 'all' : 'recent');
        changed = false;
        collectedAtNs = systemClock.monotonicNs();
      }
    }
    const moved = beat.follow(loop.intervalMs, loop.resting, systemClock.monotonicNs());
    if (woken || urgent || moved) arm();
  }

  ticks.flush();
  const restored = loop.release(current.onExit);
  epoll.close();
  timer.close();
  governor.close();
  post({ type: 'stopped', restored });

  /** For the next tick: the one that is due, or the one that a law asks for if that is before. */
  function arm(): void {
    const { againNs } = loop;
    const { dueNs } = beat;
    timer.armAt(againNs === null || againNs > dueNs ? dueNs : againNs);
  }

  function keepPace(missedNow: number): void {
    const before = punctuality.pace;
    const pace = punctuality.tick(missedNow);
    if (pace === before) return;
    loop.overrun(pace === 'overrun');
    post({ type: 'log', level: pace === 'punctual' ? 'info' : 'warn', message: PACES[pace] });
  }

  /** Alarms that nothing would come of need not wake us. */
  function disarmUseless(services: TickReport['services']): void {
    for (const { service } of services) {
      if (loop.canRise(service)) continue;
      for (const kind of ALARM_KINDS) governor.sensor.alarms?.disarm(service, kind);
    }
  }

  /** @returns true when the loop is to stop */
  function handle(message: ToLoop): boolean {
    switch (message.type) {
      case 'stop':
        return true;
      case 'change':
        prepare(message.id, message.sources);
        return false;
      case 'pause':
        loop.pause();
        break;
      case 'resume':
        loop.resume();
        break;
      case 'tell':
        ticks.flush();
        break;
    }
    post({ type: 'done', id: message.id });
    return false;
  }

  function prepare(id: number, sources: ConfigSources): void {
    answering(id, () => {
      const next = loader.parse(sources);
      if (!governor.needsAnotherSensor(next)) return change(next);
      afterTick.push(() => answering(id, () => change(next)));
      return 'later';
    });
  }

  /** The sensor may be another one afterwards, and the old one's descriptor gone. */
  function change(next: Config): void {
    if (governor.sensor.alarms !== undefined) epoll.remove(governor.sensor.alarms.fd);
    try {
      governor.change(next);
      current = next;
      changed = true;
    } finally {
      watchAlarms();
    }
  }

  function watchAlarms(): void {
    const { alarms } = governor.sensor;
    if (alarms !== undefined) epoll.add(alarms.fd, 'alarm');
  }

  /** What fails here has changed nothing: the loop goes on as it was. */
  function answering(id: number, act: () => 'later' | void): void {
    try {
      if (act() !== 'later') post({ type: 'done', id });
    } catch (error) {
      post({ type: 'done', id, error: codeOf(error) === 'internal' ? stackOf(error) : messageOf(error) });
    }
  }
}

const keyOf = ({ target, kind }: Alarm) => `${kind} ${target}`;

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
