import { Worker } from 'node:worker_threads';
import type { HostedModule, ModuleAnswer, ModuleOptions, ModuleRequest } from '../controller/module.ts';
import { systemClock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import { NS_PER_MS } from '../core/units.ts';
import { readTrustedFile } from './trusted-file.ts';

/** What the mailbox holds; the same numbers are in THREAD. */
const STARTING = 0;
const READY = 1;
const REQUEST = 2;
const ANSWER = 3;
const FAILED = 4;
const ENDED = 5;

const HEADER_BYTES = 8;
const MAILBOX_BYTES = 64 * 1024;
/** A module that has not been loaded by then never will be. */
const START_LIMIT_MS = 5000;
/** A step that is late once may have had no CPU. So many in a row, and the thread is ended. */
const LATE_IN_A_ROW = 2;
/** A thread that nobody asks any more (its policy was swapped out) ends itself. */
const FORGOTTEN_AFTER_MS = 60_000;
const LONGEST_REASON = 200;
const LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8, stackSizeMb: 2 };

/**
 * The module's side, as a script: the bundle has no second file. It sleeps on the mailbox and never returns to its event loop,
 * so what it writes to its console would pile up in memory: that goes nowhere.
 */
const THREAD = `
const { workerData: { mailbox, url, forgottenAfterMs } } = require('node:worker_threads');
const header = new Int32Array(mailbox, 0, 2);
const body = new Uint8Array(mailbox, ${HEADER_BYTES});
process.stdout.write = process.stderr.write = () => true;
function post(what, value) {
  const bytes = Buffer.from(JSON.stringify(value));
  body.set(bytes);
  header[1] = bytes.length;
  Atomics.store(header, 0, what);
  Atomics.notify(header, 0);
}
const told = (error) => { try { return String(error && error.message || error).slice(0, 1000); } catch { return 'it threw'; } };
function answer({ step, start }) {
  const { startLevel, input } = JSON.parse(Buffer.from(body.subarray(0, header[1])).toString());
  if (startLevel !== undefined && start !== undefined) start(startLevel);
  const { level, reason } = step(input);
  if (typeof level !== 'number' || !Number.isFinite(level)) throw new Error('its step answered no finite level');
  return { level, reason: typeof reason === 'string' ? reason.slice(0, 1000) : '' };
}
import(url).then((module) => {
  if (typeof module.step !== 'function') throw new Error('it exports no function step');
  post(${READY}, null);
  for (;;) {
    const now = Atomics.load(header, 0);
    if (now === ${REQUEST}) {
      try { post(${ANSWER}, answer(module)); } catch (error) { post(${ANSWER}, { error: told(error) }); }
    } else if (Atomics.wait(header, 0, now, forgottenAfterMs) === 'timed-out') {
      if (Atomics.compareExchange(header, 0, now, ${ENDED}) === now) process.exit();
    }
  }
}).catch((error) => post(${FAILED}, { error: told(error) }));
`;

/** @throws Error where the file may not be run */
export function openModuleThread({ file, deadlineMs }: ModuleOptions): HostedModule {
  return new ModuleThread(readTrustedFile(file, process.geteuid?.() === 0), deadlineMs);
}

/**
 * Runs a module in a thread of its own, which cannot stop ours: we wait for its answer no longer than the deadline. Works in a
 * thread that never returns to its event loop, as the governor's: nothing here needs an event. The text that was checked is
 * the text that runs.
 */
export class ModuleThread implements HostedModule {
  readonly #url: string;
  readonly #deadlineMs: number;
  readonly #forgottenAfterMs: number;
  #worker: Worker | undefined;
  #header = new Int32Array(new SharedArrayBuffer(HEADER_BYTES));
  #body = new Uint8Array(new SharedArrayBuffer(0));
  #startedAtNs = 0n;
  #late = 0;
  #broken: string | undefined;

  constructor(source: string, deadlineMs: number, forgottenAfterMs = FORGOTTEN_AFTER_MS) {
    this.#url = `data:text/javascript;base64,${Buffer.from(source).toString('base64')}`;
    this.#deadlineMs = deadlineMs;
    this.#forgottenAfterMs = forgottenAfterMs;
  }

  ask(request: ModuleRequest): ModuleAnswer | null {
    if (this.#broken !== undefined) throw new Error(this.#broken);
    if (this.#worker === undefined || Atomics.load(this.#header, 0) === ENDED) this.#start();
    switch (Atomics.load(this.#header, 0)) {
      case STARTING:
        if (systemClock.monotonicNs() - this.#startedAtNs < BigInt(START_LIMIT_MS * NS_PER_MS)) return null;
        return this.#end(`the module was not loaded within ${START_LIMIT_MS} ms`);
      case FAILED:
        return this.#end(`the module cannot be loaded: ${this.#receive().error}`);
      case REQUEST:
        // Still at the step before: an answer to that is none to this.
        this.#await();
        break;
      default:
    }
    if (!this.#post(request)) {
      this.#start();
      return null;
    }
    this.#await();
    return this.#answer();
  }

  #start(): void {
    const mailbox = new SharedArrayBuffer(MAILBOX_BYTES);
    this.#header = new Int32Array(mailbox, 0, 2);
    this.#body = new Uint8Array(mailbox, HEADER_BYTES);
    this.#startedAtNs = systemClock.monotonicNs();
    this.#worker = new Worker(THREAD, {
      eval: true,
      workerData: { mailbox, url: this.#url, forgottenAfterMs: this.#forgottenAfterMs },
      resourceLimits: LIMITS,
      env: {},
      argv: [],
      execArgv: [],
      stdout: true,
      stderr: true,
    });
    // Out of memory, say. The mailbox stays silent, and that is what counts.
    this.#worker.on('error', (error) => (this.#broken ??= `the module's thread ended: ${messageOf(error)}`));
    this.#worker.unref();
  }

  /** @returns false where the thread has ended itself in this very moment */
  #post(request: ModuleRequest): boolean {
    const before = Atomics.load(this.#header, 0);
    const bytes = Buffer.from(JSON.stringify(request));
    this.#body.set(bytes);
    this.#header[1] = bytes.length;
    if (Atomics.compareExchange(this.#header, 0, before, REQUEST) !== before) return false;
    Atomics.notify(this.#header, 0);
    return before !== ENDED;
  }

  #await(): void {
    Atomics.wait(this.#header, 0, REQUEST, this.#deadlineMs);
    if (Atomics.load(this.#header, 0) !== REQUEST) {
      this.#late = 0;
      return;
    }
    const late = `the module did not answer within ${this.#deadlineMs} ms`;
    if (++this.#late < LATE_IN_A_ROW) throw new Error(late);
    this.#end(`${late}, ${this.#late} times in a row: its thread was ended`);
  }

  #answer(): ModuleAnswer {
    const { level, reason, error } = this.#receive();
    if (level === undefined) throw new Error(`the module failed: ${error}`);
    // What it says goes to logs and terminals.
    const printable = (reason ?? '').replace(/[^\x20-\x7e\u00a1-\u{10ffff}]/gu, ' ').slice(0, LONGEST_REASON);
    return { level, reason: printable === '' ? `the module asks for ${level}` : printable };
  }

  #receive(): { readonly level?: number; readonly reason?: string; readonly error?: string } {
    const text = Buffer.from(this.#body.slice(0, this.#header[1])).toString();
    return JSON.parse(text) as { level?: number; reason?: string; error?: string };
  }

  #end(why: string): never {
    this.#broken = why;
    void this.#worker?.terminate();
    throw new Error(why);
  }
}
