import type { Server } from 'node:http';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { startGuardian, type Guardian } from '../actuator/guardian.ts';
import { restoreFromJournal } from '../actuator/restore.ts';
import type { RestoredControl } from '../core/actuator.ts';
import { controllers } from '../compose/controllers.ts';
import { systemClock } from '../core/clock.ts';
import { messageOf, UsageError } from '../core/errors.ts';
import type { TickReport } from '../core/tick-report.ts';
import { EventFd } from '../native/eventfd.ts';
import { forgetProgramPages, keepMemoryTrimmed, trimMemory } from '../native/trim-memory.ts';
import { ConfigLoader, type ConfigSources, type LoadedConfig } from '../policy/config-loader.ts';
import { controlClient, ControlError } from '../telemetry/control-client.ts';
import { startControlServer, type ControlTarget } from '../telemetry/control-server.ts';
import type { DaemonStatus, LoopIdentity, PolicySwap } from '../telemetry/daemon-status.ts';
import type { DaemonTotals } from '../telemetry/daemon-totals.ts';
import type { Logger } from '../telemetry/logger.ts';
import { TickHistory } from '../telemetry/tick-history.ts';
import type { Scheduling } from './claim-cpu.ts';
import { HeartbeatWatch } from './heartbeat-watch.ts';
import { claimMachine } from './claim-machine.ts';
import { collectGarbageAlone, garbageCollector, keepHeapsSmall } from './collect-garbage.ts';
import { DaemonTelemetry } from './daemon-telemetry.ts';
import type { FromLoop, LoopThreadData, TicksMessage, ToLoop } from './loop-messages.ts';
import { makeOwnDirectory } from './own-directory.ts';
import { Pauses } from './pauses.ts';
import { Reloader } from './reloader.ts';
import { serviceManager, type ServiceManager } from './service-manager.ts';
import { statusLine } from './status-line.ts';

export interface DaemonOptions {
  readonly configFile: string;
  /** Also where the config says `mode: govern`. */
  readonly dryRun: boolean;
  /** In dry run: where every request is recorded. */
  readonly record?: { readonly file: string; readonly limitBytes: number };
  /** Stands in for /sys. */
  readonly sysfsRoot: string;
  readonly runtimeDirectory: string;
  /** Stop after this long. */
  readonly durationMs?: number;
  /** How the loop's thread competes for a CPU; `auto` where not given. */
  readonly scheduling?: Scheduling;
  readonly version: string;
  readonly log: Logger;
}

const HEARTBEAT_CHECK_MS = 2500;
/** A loop whose heartbeat stands still for this many checks is stuck: 5 s at least, eight times its longest wait. */
const STUCK_AFTER_CHECKS = 2;
/** A tick takes some milliseconds at the worst. */
const LONGEST_CATCH_UP_MS = 500;
/** Loading and verifying the BPF programs comes before the first heartbeat. */
const START_LIMIT_MS = 90_000;
const MOST_GUARDIANS = 5;
/** The start and a change of the config leave garbage: it is cleared away so long afterwards, for all changes meanwhile. */
const TIDY_AFTER_MS = 1000;
/** V8 compiles what a new load makes run hot, and leaves some 10 MB in the middle of what malloc(3) holds. */
const TRIM_INTERVAL_MS = 30_000;
/**
 * The young generation holds what the loop allocates from one collection to the next, some 100 KB a second. The old one is a
 * bound for what goes wrong, far above the 11 MB that were seen in use with one service.
 */
const LOOP_HEAP = { maxYoungGenerationSizeMb: 6, maxOldGenerationSizeMb: 256 };

/**
 * The daemon's main thread: it logs, serves the control socket, takes signals and watches the loop's heartbeat. It ends
 * with every control restored, or says which one is not.
 *
 * @returns the process's exit code
 * @throws PolicyError for a bad config, UsageError when a daemon is already running here, or governing is to be recorded
 */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  // Checked here to fail early and clearly; the loop thread parses the same texts, since controllers cannot cross threads.
  const loader = new ConfigLoader(controllers);
  const running = loader.read(resolve(options.configFile));
  const dryRun = options.dryRun || running.config.mode === 'dry-run';
  if (options.record !== undefined && !dryRun) {
    throw new UsageError(
      `--record ${options.record.file}: expected --dry-run with it, or mode: dry-run in the config: who governs is not to wait for a disk`,
    );
  }
  const socketPath = join(options.runtimeDirectory, 'control.sock');
  await refuseSecondDaemon(socketPath);
  makeOwnDirectory(options.runtimeDirectory);
  const endClaim = dryRun ? () => undefined : claimMachine(options.sysfsRoot, (message) => options.log.warn(message));
  try {
    const daemon = new Daemon({ ...options, dryRun }, loader, running);
    const server = await startControlServer(socketPath, daemon, (error) =>
      options.log.warn(`control socket: ${error.message}`),
    );
    return await daemon.run(server);
  } finally {
    endClaim();
  }
}

/** Where the build puts the program's files. */
const besideUs = (file: string) => new URL(`./${file}`, import.meta.url);

const modeOf = ({ dryRun }: DaemonOptions) => (dryRun ? 'dry-run' : 'govern');

async function refuseSecondDaemon(socketPath: string): Promise<void> {
  try {
    const { pid } = await controlClient(socketPath).status();
    throw new UsageError(
      `a daemon with pid ${pid} already governs through ${dirname(socketPath)}: stop it first, or make a dry run with another --runtime`,
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
  readonly #waiting = new Map<number, (error: string | undefined) => void>();
  readonly #sources: ConfigSources;
  readonly #reloader: Reloader;
  readonly #manager: ServiceManager;
  readonly #telemetry: DaemonTelemetry;
  #nextId = 0;
  /** Of the daemon itself; whether it is paused, the pauses tell. */
  #state: 'starting' | 'governing' | 'stopping' = 'starting';
  #identity: LoopIdentity | null = null;
  #missed = 0;
  #worker: Worker | undefined;
  #guardian: Guardian | undefined;
  #guardiansLost = 0;
  readonly #pauses = new Pauses(systemClock, () => this.#pausesOver());
  readonly #collectGarbage = garbageCollector();
  #tidying: NodeJS.Timeout | undefined;
  #finish: (exitCode: number) => void = () => {};
  #finished = false;

  constructor(options: DaemonOptions, loader: ConfigLoader, running: LoadedConfig) {
    this.#options = options;
    this.#sources = running.sources;
    this.#log = options.log;
    this.#journalPath = join(options.runtimeDirectory, 'journal');
    this.#manager = serviceManager({
      environment: process.env,
      pid: process.pid,
      clock: systemClock,
      onUnheard: (error) => this.#log.warn(`the service manager cannot be told how we are: ${error.message}`),
    });
    this.#reloader = new Reloader({
      loader,
      running,
      apply: async ({ sources }) => {
        await this.#ask({ type: 'change', sources });
        this.#tidyLater();
      },
      log: this.#log,
      wallMs: () => systemClock.wallMs(),
    });
    this.#telemetry = new DaemonTelemetry({
      config: running.config,
      log: this.#log,
      about: {
        version: options.version,
        mode: modeOf(options),
        startedAt: this.#startedAt.toISOString(),
        sysfs: options.sysfsRoot,
      },
      status: () => this.#status(),
    });
  }

  async run(server: Server): Promise<number> {
    const finished = new Promise<number>((resolve) => {
      this.#finish = (exitCode) => {
        this.#finished = true;
        resolve(exitCode);
      };
    });
    const onSignal = (signal: NodeJS.Signals) => this.#stop(`received ${signal}`);
    const onHangUp = () => void this.#reload();
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onHangUp);
    const trimming = setInterval(trimMemory, TRIM_INTERVAL_MS);
    let watch: NodeJS.Timeout | undefined;
    let limit: NodeJS.Timeout | undefined;
    try {
      if (!this.#options.dryRun) this.#startGuardian();
      this.#startWorker();
      void this.#telemetry.start();
      watch = this.#watchHeartbeat();
      if (this.#options.durationMs !== undefined) {
        limit = setTimeout(() => this.#stop('the duration is over'), this.#options.durationMs);
      }
      const exitCode = await finished;
      // Dismissed only now: until here it stood ready to restore for us.
      if (exitCode === 0) this.#guardian?.dismiss();
      return exitCode;
    } finally {
      clearInterval(trimming);
      clearInterval(watch);
      clearTimeout(limit);
      clearTimeout(this.#tidying);
      this.#pauses.end(null);
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onHangUp);
      this.#reloader.close();
      this.#telemetry.close();
      server.close();
      server.closeAllConnections();
      this.#wake.close();
    }
  }

  async status(): Promise<DaemonStatus> {
    await this.#catchUp();
    return this.#status();
  }

  #status(): DaemonStatus {
    const last = this.#history.last;
    return {
      version: this.#options.version,
      pid: process.pid,
      startedAt: this.#startedAt.toISOString(),
      state: this.#shownState,
      pauseEnds: this.#pauses.endsAt?.toISOString() ?? null,
      mode: modeOf(this.#options),
      config: this.#options.configFile,
      sysfs: this.#options.sysfsRoot,
      loop: this.#identity,
      ticks: { count: last === null ? 0 : last.tick + 1, missed: this.#missed, faults: this.#history.faults },
      changes: this.#reloader.status(),
      http2: this.#telemetry.http2,
      power: this.#telemetry.power,
      metrics: this.#telemetry.url,
      last,
    };
  }

  async ticksAfter(tick: number) {
    await this.#catchUp();
    return this.#history.after(tick);
  }

  async totals(): Promise<DaemonTotals> {
    await this.#catchUp();
    return {
      startedAt: this.#startedAt.toISOString(),
      state: this.#shownState,
      mode: modeOf(this.#options),
      atMs: this.#history.last?.atMs ?? null,
      ...this.#telemetry.totals,
    };
  }

  get #shownState(): DaemonStatus['state'] {
    return this.#state === 'governing' && this.#pauses.any ? 'paused' : this.#state;
  }

  async pause(forMs: number | null, by: string | null): Promise<void> {
    this.#assertGoverns();
    const isNews = this.#pauses.hold(by, forMs);
    await this.#ask({ type: 'pause' });
    this.#manager.status(this.#statusLine());
    const until = forMs === null ? 'until resumed' : `for ${forMs / 1000} s`;
    if (isNews) this.#log.info(`paused${by === null ? '' : ` by ${by}`}: full speed ${until}`);
  }

  async resume(by: string | null): Promise<void> {
    this.#assertGoverns();
    if (!this.#pauses.end(by) || this.#pauses.any) return;
    await this.#governAgain();
  }

  #pausesOver(): void {
    if (this.#state !== 'governing') return;
    this.#log.info('the pause has lasted as long as it was asked for');
    this.#governAgain().catch((error: unknown) => this.#log.error(`governing again failed: ${messageOf(error)}`));
  }

  async #governAgain(): Promise<void> {
    await this.#ask({ type: 'resume' });
    this.#manager.status(this.#statusLine());
    this.#log.info('resumed');
  }

  #statusLine(): string {
    return statusLine(this.#status());
  }

  swapPolicy(service: string, file: string, persist: boolean, forMs: number | null): Promise<PolicySwap> {
    return this.#reloader.swapPolicy(service, file, persist, forMs);
  }

  async #reload(): Promise<void> {
    // While it starts the files have just been read, and are looked at again as soon as it governs.
    if (this.#state !== 'governing') return;
    this.#manager.reloading();
    await this.#reloader.reload('received SIGHUP');
    // It may have been told to stop meanwhile, and has said so.
    if (this.#state === 'governing') this.#manager.ready(this.#statusLine());
  }

  /** Resolves when the loop has done it; rejects when it could not, and nothing has changed. */
  #ask(question: { type: 'pause' | 'resume' | 'tell' } | { type: 'change'; sources: ConfigSources }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#assertGoverns();
      const id = this.#nextId++;
      this.#waiting.set(id, (error) => (error === undefined ? resolve() : reject(new Error(error))));
      this.#send({ ...question, id });
    });
  }

  #assertGoverns(): void {
    if (this.#state !== 'governing') throw new Error(`the daemon is ${this.#state}: try again when it governs`);
  }

  /** The loop holds ticks back for up to a second: whoever asks is told all of them. One that is stuck is not waited for. */
  async #catchUp(): Promise<void> {
    if (this.#state !== 'governing') return;
    const limit = new AbortController();
    const told = this.#ask({ type: 'tell' }).finally(() => limit.abort());
    await Promise.race([told, sleep(LONGEST_CATCH_UP_MS, undefined, { signal: limit.signal }).catch(() => undefined)]);
  }

  #send(message: ToLoop): void {
    this.#worker?.postMessage(message);
    this.#wake.notify();
  }

  #startWorker(): void {
    const data: LoopThreadData = {
      sources: this.#sources,
      dryRun: this.#options.dryRun,
      ...(this.#options.record === undefined ? {} : { record: this.#options.record }),
      sysfsRoot: this.#options.sysfsRoot,
      journalPath: this.#journalPath,
      scheduling: this.#options.scheduling ?? 'auto',
      wakeFd: this.#wake.fd,
      heartbeat: this.#heartbeat,
    };
    collectGarbageAlone();
    keepHeapsSmall();
    keepMemoryTrimmed();
    this.#worker = new Worker(besideUs('loop-entry.js'), { workerData: data, resourceLimits: LOOP_HEAP });
    this.#worker.on('message', (message: FromLoop) => this.#receive(message));
    this.#worker.on('error', (error) => this.#loopDied(`the loop thread threw: ${error.stack ?? error.message}`));
    this.#worker.on('exit', () => this.#loopDied('the loop thread ended'));
  }

  #receive(message: FromLoop): void {
    switch (message.type) {
      case 'ready':
        this.#identity = message.identity;
        this.#telemetry.ready(message.identity);
        // It was told to stop while it started, and will.
        if (this.#state === 'stopping') return;
        this.#state = 'governing';
        this.#reloader.start();
        this.#tidyLater();
        this.#manager.ready(this.#statusLine());
        this.#log.info(
          { ...message.identity, domains: message.identity.domains.length, intervalMs: message.intervalMs },
          this.#options.dryRun ? 'observing; nothing will be written (dry run)' : 'governing',
        );
        return;
      case 'identity':
        this.#identity = message.identity;
        this.#telemetry.changed(message.identity);
        return;
      case 'ticks':
        this.#tell(message);
        return;
      case 'log':
        this.#log[message.level](message.message);
        return;
      case 'done':
        this.#waiting.get(message.id)?.(message.error);
        this.#waiting.delete(message.id);
        return;
      case 'stopped':
        this.#reportRestored(message.restored, 'on exit');
        this.#finish(message.restored.some((control) => control.outcome === 'failed') ? 1 : 0);
        return;
      case 'failed':
        this.#state = 'stopping';
        this.#manager.stopping(message.message);
        this.#log.fatal({ code: message.code }, message.message);
        this.#reportRestored(this.#restore(), 'after the failure');
        this.#finish(1);
        return;
    }
  }

  #tell({ ticks, times }: TicksMessage): void {
    const told = ticks.map((tick) => ({ ...tick, text: tick.report, report: JSON.parse(tick.report) as TickReport }));
    for (const { report, text, missed } of told) {
      this.#missed = missed;
      this.#history.add(report, text);
      for (const fault of report.faults) this.#log.warn(fault);
    }
    this.#telemetry.ticks(told, times);
    this.#manager.alive(() => this.#statusLine());
  }

  /** Ticks alone make so little garbage that V8 would not look at what is left of the start for hours. */
  #tidyLater(): void {
    this.#tidying ??= setTimeout(() => {
      this.#tidying = undefined;
      this.#collectGarbage('all');
      trimMemory();
      forgetProgramPages();
    }, TIDY_AFTER_MS).unref();
  }

  #stop(why: string): void {
    if (this.#state === 'stopping') {
      this.#log.warn(`${why} while stopping: restoring at once`);
      this.#giveUp();
      return;
    }
    this.#log.info(`stopping: ${why}`);
    this.#state = 'stopping';
    this.#manager.stopping(why);
    this.#send({ type: 'stop' });
  }

  /** Also while it stops: then it has not put back what it was to. */
  #loopDied(why: string): void {
    if (this.#finished) return;
    this.#state = 'stopping';
    this.#manager.stopping(why);
    this.#log.fatal(why);
    this.#reportRestored(this.#restore(), 'after the failure');
    this.#finish(1);
  }

  #watchHeartbeat(): NodeJS.Timeout {
    const beats = new Int32Array(this.#heartbeat);
    const watch = new HeartbeatWatch({
      starting: START_LIMIT_MS / HEARTBEAT_CHECK_MS,
      governing: STUCK_AFTER_CHECKS,
    });
    return setInterval(() => {
      const stuck = watch.look(Atomics.load(beats, 0), this.#identity !== null);
      if (watch.still === 0 && this.#identity !== null) this.#manager.alive(() => this.#statusLine());
      if (!stuck) return;
      this.#log.fatal(
        `the loop thread has been stuck for ${(watch.still * HEARTBEAT_CHECK_MS) / 1000} s: giving it up`,
      );
      this.#giveUp();
    }, HEARTBEAT_CHECK_MS);
  }

  /**
   * The loop cannot be relied on any more: restore from here, and leave without waiting for its thread. That may be slow and not
   * stuck, and write once more before it is gone: the guardian, which sees our pipe close, has the last word.
   */
  #giveUp(): never {
    this.#reportRestored(this.#restore({ keepJournal: true }), 'from the main thread');
    // A normal exit would join the stuck thread.
    process.kill(process.pid, 'SIGKILL');
    throw new Error('unreachable');
  }

  #restore(options: { readonly keepJournal?: boolean } = {}): readonly RestoredControl[] {
    if (this.#options.dryRun) return [];
    try {
      return restoreFromJournal({ journalPath: this.#journalPath, ...options });
    } catch (error) {
      this.#log.error(`restoring from ${this.#journalPath} failed: ${messageOf(error)}`);
      return [];
    }
  }

  #reportRestored(restored: readonly RestoredControl[], when: string): void {
    const failed = restored.filter((control) => control.outcome === 'failed');
    for (const { control, detail } of failed) this.#log.error({ control, detail }, `could not restore, ${when}`);
    const count = restored.length - failed.length;
    // In a dry run they were changed in memory alone.
    if (count > 0 && !this.#options.dryRun)
      this.#log.info(`restored ${count} ${count === 1 ? 'control' : 'controls'}, ${when}`);
  }

  #startGuardian(): void {
    const command = [
      process.execPath,
      fileURLToPath(besideUs('cli.js')),
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
