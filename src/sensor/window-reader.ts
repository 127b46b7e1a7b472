import { endianness } from 'node:os';
import { BUCKETS, Histogram } from '../core/histogram.ts';
import type { RequestUnit } from '../core/sensor.ts';
import { type Counter, COUNTERS, HISTOGRAMS, STRIPE } from './layout.ts';

/** What the kernel counted of one target, in one unit, between two reads. */
export interface Window {
  readonly arrivals: number;
  readonly requests: number;
  readonly abandoned: number;
  readonly overSlo: number;
  readonly unsolicited: number;
  readonly dropped: number;
  /** At the read, not of the window. */
  readonly inFlight: number;
  readonly latency: Histogram;
  readonly socketWait: Histogram;
  readonly handlingTime: Histogram;
  /** Of streams alone: from the arrival to the first HEADERS of the response. */
  readonly firstResponse: Histogram;
  /** Connections that were begun to be counted in this unit, and those whose frames were lost sight of. */
  readonly connections: number;
  readonly lost: number;
  readonly streaming: number;
}

const TWO_TO_32 = 2 ** 32;
const LOW_WORD = endianness() === 'LE' ? 0 : 1;

/**
 * Turns the cumulative figures of one target, which the kernel goes on writing, into windows. A window costs the same
 * whatever was counted in it.
 *
 * A reply that goes on moves its turn from one bucket to a higher one, so a bucket may hold less than at the read before.
 * What was told once stays told: such a bucket owes the difference, and tells nothing until it has been made up for.
 */
export class WindowReader {
  readonly #stripes: readonly Uint32Array[];
  /** What has been told of each bucket, modulo 2^32 as the kernel's own counts are. */
  readonly #told = new Uint32Array(HISTOGRAMS.length * BUCKETS);
  /** Low and high word of each counter of each stripe at the read before. */
  readonly #before: readonly Uint32Array[];
  #inFlight = 0;
  /** Arrivals that have been told and then withdrawn, which the next ones make up for. */
  #arrivalsOwed = 0;

  readonly #histograms: number;

  /** @param stripes one view of each struct stripe; all figures start at 0; @param unit of streams there is one histogram more */
  constructor(stripes: readonly Uint32Array[], unit: RequestUnit = 'turn') {
    this.#histograms = unit === 'stream' ? HISTOGRAMS.length : HISTOGRAMS.indexOf('firstResponse');
    this.#stripes = stripes;
    this.#before = stripes.map(() => new Uint32Array(2 * COUNTERS.length));
  }

  read(): Window {
    const [latencyCounts, socketWaitCounts, handlingTimeCounts, firstResponseCounts] = HISTOGRAMS.map((_, index) =>
      index < this.#histograms ? this.#counts(index) : undefined,
    );
    // Each request has one entry here, which a reply that goes on does not move.
    const requests = socketWaitCounts!.reduce((sum, count) => sum + count);
    // Arrivals last: what completes while we read can then never be more than what has arrived.
    const abandoned = this.#advance('abandoned');
    const overSlo = this.#advance('overSlo');
    const unsolicited = this.#advance('unsolicited');
    const dropped = this.#advance('dropped');
    const socketWaitNs = this.#advance('socketWaitNs');
    const handlingTimeNs = this.#advance('handlingTimeNs');
    const firstResponseNs = this.#advance('firstResponseNs');
    const connections = this.#advance('connections');
    const lost = this.#advance('lost');
    const streaming = this.#advance('streaming');
    const withdrawn = this.#advance('withdrawn');
    const net = this.#advance('arrivals') - withdrawn;
    this.#inFlight += net - requests - abandoned - streaming;
    const arrivals = Math.max(0, net - this.#arrivalsOwed);
    this.#arrivalsOwed += arrivals - net;
    return {
      arrivals,
      requests,
      abandoned,
      overSlo,
      unsolicited,
      dropped,
      inFlight: this.#inFlight,
      latency: new Histogram(latencyCounts, socketWaitNs + handlingTimeNs),
      socketWait: new Histogram(socketWaitCounts, socketWaitNs),
      handlingTime: new Histogram(handlingTimeCounts, handlingTimeNs),
      firstResponse: new Histogram(firstResponseCounts, firstResponseNs),
      connections,
      lost,
      streaming,
    };
  }

  /** So many of what is in flight will never be answered, and nothing has said so: the window with them in it. */
  abandon(window: Window, count: number): Window {
    this.#inFlight -= count;
    return { ...window, abandoned: window.abandoned + count, inFlight: window.inFlight - count };
  }

  /** What one histogram's buckets have gained since they were last told. */
  #counts(histogram: number): Float64Array {
    const counts = new Float64Array(BUCKETS);
    const start = STRIPE.histogram(histogram);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const at = start + bucket;
      let sum = 0;
      for (const stripe of this.#stripes) sum += stripe[at]!;
      // The difference of two numbers modulo 2^32, as a signed one.
      const gained = (sum - this.#told[at]!) | 0;
      if (gained <= 0) continue;
      counts[bucket] = gained;
      this.#told[at] = sum;
    }
    return counts;
  }

  /** How far a counter has come since the read before. Exact however long it has been counting. */
  #advance(counter: Counter): number {
    let total = 0;
    this.#stripes.forEach((stripe, index) => {
      const before = this.#before[index]!;
      const at = 2 * COUNTERS.indexOf(counter);
      const [low, high] = readWords(stripe, STRIPE.counter(counter));
      total += (high - before[at + 1]!) * TWO_TO_32 + (low - before[at]!);
      before[at] = low;
      before[at + 1] = high;
    });
    return total;
  }
}

/** Both words of a number of 64 bits that the kernel may be adding to meanwhile. */
function readWords(words: Uint32Array, at: number): readonly [low: number, high: number] {
  for (;;) {
    const high = words[at + 1 - LOW_WORD]!;
    const low = words[at + LOW_WORD]!;
    if (words[at + 1 - LOW_WORD] === high) return [low, high];
  }
}
