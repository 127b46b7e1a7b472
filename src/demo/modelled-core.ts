import { closeSync, openSync, readSync } from 'node:fs';
import { performance } from 'node:perf_hooks';

/** What the core did in a stretch of time in which its frequency stayed the same. */
export interface CoreSpan {
  /** CLOCK_MONOTONIC, in ms. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly frequencyKhz: number;
  /** The modelled work, and the CPU time of the real work around it: sockets, HTTP, garbage collection. */
  readonly busyMs: number;
}

/** While work is done the frequency is looked at this often: a change in mid-request counts. */
const LOOK_MS = 0.25;

/** CLOCK_MONOTONIC in ms. */
export const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;

/** CPU time of this process, in ms. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * One CPU core whose speed is what a scaling_cur_freq file says: work that costs n cycles keeps this thread busy for
 * n ÷ frequency. That time is wall time: the modelled core is not slowed by what other processes take of the real one. It
 * also keeps the book of busy time by frequency, from which energy is modelled.
 */
export class ModelledCore {
  readonly #fd: number;
  readonly #bytes = Buffer.alloc(32);
  #frequencyKhz: number;
  #spans: CoreSpan[] = [];
  #spanFromMs = monotonicMs();
  #spanBusyMs = 0;
  /** CPU time up to which the work around the requests is booked. */
  #bookedCpuMs = cpuMs();
  #scratch = 1;

  /** @throws when the file cannot be opened or holds no frequency */
  constructor(frequencyFile: string) {
    this.#fd = openSync(frequencyFile, 'r');
    this.#frequencyKhz = this.#readKhz();
    if (!(this.#frequencyKhz > 0)) throw new Error(`${frequencyFile} holds no frequency: expected kHz`);
  }

  /** Works, synchronously, until the cycles are spent. */
  spend(cycles: number): void {
    this.#bookWorkAround();
    let left = cycles;
    let nowMs = performance.now();
    while (left > 0) {
      this.lookAtFrequency();
      // kHz are cycles a millisecond.
      const wantedMs = left / this.#frequencyKhz;
      const fromMs = nowMs;
      const untilMs = fromMs + Math.min(LOOK_MS, wantedMs);
      while (nowMs < untilMs) {
        this.#work();
        nowMs = performance.now();
      }
      const passedMs = nowMs - fromMs;
      // Whoever took the CPU away in the last stretch may have overrun what was left to do.
      this.#spanBusyMs += Math.min(passedMs, wantedMs);
      left -= passedMs * this.#frequencyKhz;
    }
    this.#bookedCpuMs = cpuMs();
  }

  /** Reads the file, and starts a new span where the frequency has changed. */
  lookAtFrequency(): void {
    const khz = this.#readKhz();
    // What was known still holds where a reader meets a file that is being written.
    if (!(khz > 0) || khz === this.#frequencyKhz) return;
    this.#endSpan();
    this.#frequencyKhz = khz;
  }

  /** The spans that have ended since the last call, the present one cut here. Not to be called while it works. */
  takeSpans(): readonly CoreSpan[] {
    this.#bookWorkAround();
    this.#endSpan();
    const spans = this.#spans;
    this.#spans = [];
    return spans;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #bookWorkAround(): void {
    const now = cpuMs();
    this.#spanBusyMs += now - this.#bookedCpuMs;
    this.#bookedCpuMs = now;
  }

  #endSpan(): void {
    const toMs = monotonicMs();
    const busyMs = Math.min(toMs - this.#spanFromMs, this.#spanBusyMs);
    this.#spans.push({ fromMs: this.#spanFromMs, toMs, frequencyKhz: this.#frequencyKhz, busyMs });
    this.#spanFromMs = toMs;
    this.#spanBusyMs = 0;
  }

  #readKhz(): number {
    const length = readSync(this.#fd, this.#bytes, 0, this.#bytes.length, 0);
    return Number.parseInt(this.#bytes.toString('latin1', 0, length), 10);
  }

  /** A few microseconds of arithmetic that no compiler can leave out. */
  #work(): void {
    let scratch = this.#scratch;
    for (let i = 0; i < 500; i++) scratch = Math.imul(scratch ^ (scratch >>> 15), 0x2c1b3c6d) + i;
    this.#scratch = scratch;
  }
}
