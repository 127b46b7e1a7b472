import { mkdirSync } from 'node:fs';
import type { Server } from 'node:http';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { startGuardian, type Guardian } from '../actuator/guardian.ts';
import { restoreFromJournal } from '../actuator/restore.ts';
import type { RestoredControl } from '../core/actuator.ts';
import { controllers } from '../controller/registry.ts';
import { messageOf, UsageError } from '../core/errors.ts';
import { EventFd } from '../native/eventfd.ts';
import { loadConfig } from '../policy/load-config.ts';
import { controlClient, ControlError } from '../telemetry/control-client.ts';
import { startControlServer, type ControlTarget } from '../telemetry/control-server.ts';
import type { DaemonStatus, LoopIdentity } from '../telemetry/daemon-status.ts';
import type { Logger } from '../telemetry/logger.ts';
import { TickHistory } from '../telemetry/tick-history.ts';
import type { FromLoop, LoopThreadData, ToLoop } from './loop-messages.ts';

export interface DaemonOptions {
  readonly configFile: string;
  readonly dryRun: boolean;
  /** Stands in for /sys. */
  readonly sysfsRoot: string;
  readonly runtimeDirectory: string;
  /** Stop after this long. */
  readonly durationMs?: number;
  readonly version: string;
  readonly log: Logger;
}

const HEARTBEAT_CHECK_MS = 500;
/** A loop whose heartbeat stands still for this many checks is stuck: 5 s, ten times its longest wait. */
const STUCK_AFTER_CHECKS = 10;
/** Loading and verifying the BPF programs comes before the first heartbeat. */
const START_LIMIT_MS = 30_000;
const MOST_GUARDIANS = 5;

/**
 * The daemon's main thread: it logs, serves the control socket, takes signals and watches the loop's heartbeat. It ends
 * with every control restored, or says which one is not.
 *
 * @returns the process's exit code
 * @throws PolicyError for a bad config, UsageError when a daemon is already running here
 */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  // Parsed here to fail early and clearly; the loop thread parses it again, since controllers cannot cross threads.
  loadConfig(options.configFile, controllers);
  const socketPath = join(options.runtimeDirectory, 'control.sock');
  await refuseSecondDaemon(socketPath);
  mkdirSync(options.runtimeDirectory, { recursive: true, mode: 0o755 });
  const daemon = new Daemon(options);
  const server = await startControlServer(socketPath, daemon);
  return daemon.run(server);
}

async function refuseSecondDaemon(socketPath: string): Promise<void> {
  try {
    const { pid } = await controlClient(socketPath).status();
    throw new UsageError(
      `a daemon with pid ${pid} already governs through ${dirname(socketPath)}: stop it, or give another --runtime`,
    );
  } catch (error) {
    if (error instanceof ControlError && error.code === 'not-running') return;
    throw error;
  }
}

class Daemon implements ControlTarget {
  readonly #options: DaemonOptions;
  readonly #log: Logger;
  readonly #startedAt = new Date();
  readonly #history = new TickHistory();
  readonly #wake = new EventFd();
  readonly #heartbeat = new SharedArrayBuffer(4);
  readonly #journalPath: string;
  readonly #waiting = new Map<number, () => void>();
  #nextId = 0;
  #state: DaemonStatus['state'] = 'starting';
  #identity: LoopIdentity | null = null;
  #missed = 0;
  #worker: Worker | undefined;
  #guardian: Guardian | undefined;
  #guardiansLost = 0;
  #finish: (exitCode: number) => void = () => {};

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#journalPath = join(options.runtimeDirectory, 'journal');
  }

  async run(server: Server): Promise<number> {
    const finished = new Promise<number>((resolve) => (this.#finish = resolve));
    const onSignal = (signal: NodeJS.Signals) => this.#stop(`received ${signal}`);
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
    let watch: NodeJS.Timeout | undefined;
    let limit: NodeJS.Timeout | undefined;
    try {
      if (!this.#options.dryRun) this.#startGuardian();
      this.#startWorker();
      watch = this.#watchHeartbeat();
      if (this.#options.durationMs !== undefined) {
        limit = setTimeout(() => this.#stop('the duration is over'), this.#options.durationMs);
      }
      const exitCode = await finished;
      // Dismissed only now: until here it stood ready to restore for us.
      if (exitCode === 0) this.#guardian?.dismiss();
      return exitCode;
    } finally {
      clearInterval(watch);
      clearTimeout(limit);
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
      server.close();
      server.closeAllConnections();
      this.#wake.close();
    }
  }

  status(): DaemonStatus {
    const last = this.#history.last;
    return {
      version: this.#options.version,
      pid: process.pid,
      startedAt: this.#startedAt.toISOString(),
      state: this.#state,
      mode: this.#options.dryRun ? 'dry-run' : 'govern',
      config: this.#options.configFile,
      sysfs: this.#options.sysfsRoot,
      loop: this.#identity,
      ticks: { count: last === null ? 0 : last.tick + 1, missed: this.#missed, faults: this.#history.faults },
      last,
    };
  }

  ticksAfter(tick: number) {
    return this.#history.after(tick);
  }

  async pause(): Promise<void> {
    await this.#ask('pause');
    this.#state = 'paused';
    this.#log.info('paused: full speed until resumed');
  }

  async resume(): Promise<void> {
    await this.#ask('resume');
    this.#state = 'governing';
    this.#log.info('resumed');
  }

  #ask(type: 'pause' | 'resume'): Promise<void> {
    if (this.#state !== 'governing' && this.#state !== 'paused') {
      return Promise.reject(new Error(`the daemon is ${this.#state}: try again when it governs`));
    }
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#send({ type, id });
    });
  }

  #send(message: ToLoop): void {
    this.#worker?.postMessage(message);
    this.#wake.notify();
  }

  #startWorker(): void {
    const data: LoopThreadData = {
      role: 'tailgov-loop',
      configFile: this.#options.configFile,
      dryRun: this.#options.dryRun,
      sysfsRoot: this.#options.sysfsRoot,
      journalPath: this.#journalPath,
      wakeFd: this.#wake.fd,
      heartbeat: this.#heartbeat,
    };
    // The bundle is its own worker: cli/main.ts sees the role and becomes the loop.
    this.#worker = new Worker(new URL(import.meta.url), { workerData: data });
    this.#worker.on('message', (message: FromLoop) => this.#receive(message));
    this.#worker.on('error', (error) => this.#loopDied(`the loop thread threw: ${error.stack ?? error.message}`));
    this.#worker.on('exit', () => {
      if (this.#state !== 'stopping') this.#loopDied('the loop thread ended');
    });
  }

  #receive(message: FromLoop): void {
    switch (message.type) {
      case 'ready':
        this.#identity = message.identity;
        this.#state = 'governing';
        this.#log.info(
          { ...message.identity, domains: message.identity.domains.length, intervalMs: message.intervalMs },
          this.#options.dryRun ? 'observing; nothing will be written (dry run)' : 'governing',
        );
        return;
      case 'tick':
        this.#missed = message.missed;
        this.#history.add(message.report);
        for (const fault of message.report.faults) this.#log.warn(fault);
        return;
      case 'log':
        this.#log[message.level](message.message);
        return;
      case 'done':
        this.#waiting.get(message.id)?.();
        this.#waiting.delete(message.id);
        return;
      case 'stopped':
        this.#reportRestored(message.restored, 'on exit');
        this.#finish(message.restored.some((control) => control.outcome === 'failed') ? 1 : 0);
        return;
      case 'failed':
        this.#state = 'stopping';
        this.#log.fatal({ code: message.code }, message.message);
        this.#reportRestored(this.#restore(), 'after the failure');
        this.#finish(1);
        return;
    }
  }

  #stop(why: string): void {
    if (this.#state === 'stopping') {
      this.#log.warn(`${why} while stopping: restoring at once`);
      this.#giveUp();
      return;
    }
    this.#log.info(`stopping: ${why}`);
    this.#state = 'stopping';
    this.#send({ type: 'stop' });
  }

  #loopDied(why: string): void {
    if (this.#state === 'stopping') return;
    this.#state = 'stopping';
    this.#log.fatal(why);
    this.#reportRestored(this.#restore(), 'after the failure');
    this.#finish(1);
  }

  #watchHeartbeat(): NodeJS.Timeout {
    const beats = new Int32Array(this.#heartbeat);
    let seen = -1;
    let still = 0;
    // Counted in checks, not by the clock: a suspended machine stops both threads alike.
    return setInterval(() => {
      const now = Atomics.load(beats, 0);
      still = now === seen ? still + 1 : 0;
      seen = now;
      const limit = this.#identity === null ? START_LIMIT_MS / HEARTBEAT_CHECK_MS : STUCK_AFTER_CHECKS;
      if (still < limit) return;
      this.#log.fatal(`the loop thread has been stuck for ${(still * HEARTBEAT_CHECK_MS) / 1000} s: giving it up`);
      this.#giveUp();
    }, HEARTBEAT_CHECK_MS);
  }

  /** The loop cannot be relied on any more: restore from here, and leave without waiting for its thread. */
  #giveUp(): never {
    const restored = this.#restore();
    this.#reportRestored(restored, 'from the main thread');
    if (!restored.some((control) => control.outcome === 'failed')) this.#guardian?.dismiss();
    // A normal exit would join the stuck thread. What is not restored yet is the guardian's, which sees our pipe close.
    process.kill(process.pid, 'SIGKILL');
    throw new Error('unreachable');
  }

  #restore(): readonly RestoredControl[] {
    if (this.#options.dryRun) return [];
    try {
      return restoreFromJournal({ journalPath: this.#journalPath });
    } catch (error) {
      this.#log.error(`restoring from ${this.#journalPath} failed: ${messageOf(error)}`);
      return [];
    }
  }

  #reportRestored(restored: readonly RestoredControl[], when: string): void {
    const failed = restored.filter((control) => control.outcome === 'failed');
    for (const { control, detail } of failed) this.#log.error({ control, detail }, `could not restore, ${when}`);
    const count = restored.length - failed.length;
    if (count > 0) this.#log.info(`restored ${count} ${count === 1 ? 'control' : 'controls'}, ${when}`);
  }

  #startGuardian(): void {
    const command = [
      process.execPath,
      fileURLToPath(import.meta.url),
      'restore',
      '--runtime',
      resolve(this.#options.runtimeDirectory),
    ];
    this.#guardian = startGuardian({
      command,
      onLost: (detail) => this.#guardianLost(detail),
    });
  }

  /** Without a guardian a SIGKILL would leave the machine slow: another takes its place, unless they keep dying. */
  #guardianLost(detail: string): void {
    if (this.#state === 'stopping') return;
    if (this.#guardiansLost++ < MOST_GUARDIANS) {
      this.#log.warn({ detail }, 'the guardian is gone: starting another');
      this.#startGuardian();
    } else {
      this.#log.error({ detail }, 'the guardian cannot be kept alive: after a SIGKILL run `tailgov restore`');
    }
  }
}
