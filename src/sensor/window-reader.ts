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
const FIRST_COUNTER = STRIPE.counter(COUNTERS[0]);

type HistogramName = (typeof HISTOGRAMS)[number];

/** Room for what one histogram gains: buckets, each with its count, by turns. */
const GAINS = new Int32Array(2 * BUCKETS);

// Shared by all windows: what is in a snapshot is only read.
const NONE = new Histogram();
const NOTHING: Window = {
  inFlight: 0,
  arrivals: 0,
  requests: 0,
  abandoned: 0,
  overSlo: 0,
  unsolicited: 0,
  dropped: 0,
  latency: NONE,
  socketWait: NONE,
  handlingTime: NONE,
  firstResponse: NONE,
  connections: 0,
  lost: 0,
  streaming: 0,
};

/**
 * Turns the cumulative figures of one target, which the kernel goes on writing, into windows. A window costs the same
 * whatever was counted in it, and next to nothing where nothing was.
 *
 * A reply that goes on moves its turn from one bucket to a higher one, so a bucket may hold less than at the read before.
 * What was told once stays told: such a bucket owes the difference, and tells nothing until it has been made up for.
 */
export class WindowReader {
  readonly #stripes: readonly Uint32Array[];
  /** The same words, signed: differences modulo 2^32 are to be signed ones. */
  readonly #counts: readonly Int32Array[];
  /** What has been told of each bucket, modulo 2^32 as the kernel's own counts are. */
  readonly #told = new Int32Array(HISTOGRAMS.length * BUCKETS);
  /** Low and high word of each counter of each stripe at the read before. */
  readonly #before: readonly Uint32Array[];
  #inFlight = 0;
  /** Arrivals that have been told and then withdrawn, which the next ones make up for. */
  #arrivalsOwed = 0;
  /** Something was counted in the read before: the probes move sums before buckets, so that some of it may show only now. */
  #wasMoving = true;
  /** The last window in which nothing was counted. */
  #nothing = NOTHING;
  readonly #unit: RequestUnit;

  /** @param stripes one view of each struct stripe; all figures start at 0; @param unit of streams there is one histogram more */
  constructor(stripes: readonly Uint32Array[], unit: RequestUnit = 'turn') {
    this.#unit = unit;
    this.#stripes = stripes;
    this.#counts = stripes.map(({ buffer, byteOffset, length }) => new Int32Array(buffer, byteOffset, length));
    this.#before = stripes.map(() => new Uint32Array(2 * COUNTERS.length));
  }

  /** @returns the very same window as long as nothing is counted */
  read(): Window {
    const moving = this.#sumsHaveMoved();
    if (!moving && !this.#wasMoving) {
      if (this.#nothing.inFlight !== this.#inFlight) this.#nothing = { ...NOTHING, inFlight: this.#inFlight };
      return this.#nothing;
    }
    this.#wasMoving = moving;
    const socketWaitNs = this.#advance('socketWaitNs');
    const handlingTimeNs = this.#advance('handlingTimeNs');
    const firstResponseNs = this.#advance('firstResponseNs');
    const latency = this.#gained('latency', socketWaitNs + handlingTimeNs);
    const socketWait = this.#gained('socketWait', socketWaitNs);
    const handlingTime = this.#gained('handlingTime', handlingTimeNs);
    const firstResponse = this.#unit === 'stream' ? this.#gained('firstResponse', firstResponseNs) : NONE;
    // Arrivals last: what completes while we read can then never be more than what has arrived.
    const abandoned = this.#advance('abandoned');
    const overSlo = this.#advance('overSlo');
    const unsolicited = this.#advance('unsolicited');
    const dropped = this.#advance('dropped');
    const connections = this.#advance('connections');
    const lost = this.#advance('lost');
    const streaming = this.#advance('streaming');
    const withdrawn = this.#advance('withdrawn');
    // Each request has one entry here, which a reply that goes on does not move.
    const requests = socketWait.count;
    const net = this.#advance('lateArrivals') + this.#advance('arrivals') - withdrawn;
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
      latency,
      socketWait,
      handlingTime,
      firstResponse,
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

  /** Every arrival, completion and extension moves one of the sums: where all stand still, so do the buckets. */
  #sumsHaveMoved(): boolean {
    for (let index = 0; index < this.#stripes.length; index++) {
      const stripe = this.#stripes[index]!;
      const before = this.#before[index]!;
      for (let word = 0; word < before.length; word++) {
        if (stripe[FIRST_COUNTER + word] !== before[word ^ LOW_WORD]) return true;
      }
    }
    return false;
  }

  /** What one histogram's buckets have gained since they were last told, with their sum. */
  #gained(name: HistogramName, sumNs: number): Histogram {
    const stripes = this.#counts;
    const told = this.#told;
    const start = STRIPE.histogram(HISTOGRAMS.indexOf(name));
    let gains = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const at = start + bucket;
      let sum = 0;
      for (let stripe = 0; stripe < stripes.length; stripe++) sum = (sum + stripes[stripe]![at]!) | 0;
      const gained = (sum - told[at]!) | 0;
      if (gained <= 0) continue;
      GAINS[gains++] = bucket;
      GAINS[gains++] = gained;
      told[at] = sum;
    }
    if (gains === 0 && sumNs === 0) return NONE;
    const histogram = new Histogram();
    histogram.addInUse(GAINS.subarray(0, gains), sumNs);
    return histogram;
  }

  /** How far a counter has come since the read before. Exact however long it has been counting. */
  #advance(counter: Counter): number {
    let total = 0;
    const at = STRIPE.counter(counter);
    const word = at - FIRST_COUNTER;
    for (let index = 0; index < this.#stripes.length; index++) {
      const words = this.#stripes[index]!;
      const before = this.#before[index]!;
      // Both words of a number of 64 bits that the kernel may be adding to meanwhile.
      let low: number;
      let high: number;
      do {
        high = words[at + 1 - LOW_WORD]!;
        low = words[at + LOW_WORD]!;
      } while (words[at + 1 - LOW_WORD] !== high);
      total += (high - before[word + 1]!) * TWO_TO_32 + (low - before[word]!);
      before[word] = low;
      before[word + 1] = high;
    }
    return total;
  }
}
