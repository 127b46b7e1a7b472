/**
 * A log-linear latency histogram: 32 buckets an octave, so that a bucket is at most 1/32 (3.125 %) as wide as its lower
 * bound from 256 ns up; below that buckets are 8 ns wide. 1,024 buckets reach 2^36 units of 8 ns, or 550 s; longer times
 * fall into the last. bpf/histogram.h has the same layout, and test/kernel holds the two together.
 */
export const UNIT_SHIFT = 3;
const SUB_BUCKET_BITS = 5;
export const BUCKETS = 1024;

const UNIT_NS = 2 ** UNIT_SHIFT;
const SUB_BUCKETS = 2 ** SUB_BUCKET_BITS;

/** The bucket that a time of `ns` nanoseconds falls into. Times are whole and not negative. */
export function bucketOf(ns: number): number {
  const units = Math.floor(ns / UNIT_NS);
  if (units < SUB_BUCKETS) return Math.max(0, units);
  const octave = Math.floor(Math.log2(units));
  // log2 of a large whole number can round up to the next octave.
  const exact = 2 ** octave > units ? octave - 1 : octave;
  const sub = Math.floor(units / 2 ** (exact - SUB_BUCKET_BITS)) - SUB_BUCKETS;
  return Math.min(BUCKETS - 1, (exact - SUB_BUCKET_BITS + 1) * SUB_BUCKETS + sub);
}

/** The smallest time, in ns, that falls into the bucket. */
export function bucketLowNs(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket * UNIT_NS;
  // Unsigned: a power in floating point would take most of the time that a histogram takes.
  const octaveUnits = (1 << ((bucket >> SUB_BUCKET_BITS) - 1)) >>> 0;
  return (SUB_BUCKETS + (bucket % SUB_BUCKETS)) * octaveUnits * UNIT_NS;
}

/** The smallest time, in ns, that falls beyond the bucket. */
export function bucketHighNs(bucket: number): number {
  return bucketLowNs(bucket + 1);
}

/** Counts of times, with their exact sum. Mutable: whoever builds one owns it; a snapshot's is read only. */
export class Histogram {
  /**
   * One count a bucket, whole numbers, of those from `#first` on. The times of a service take up a few octaves: to keep all the
   * other buckets and to go through them, too, would be most of what a tick costs.
   */
  #counts: number[] = [];
  #first = 0;
  #count = 0;
  #sumNs: number;

  /** @param counts one a bucket, which are copied */
  constructor(counts?: ArrayLike<number>, sumNs = 0) {
    this.#sumNs = sumNs;
    if (counts === undefined) return;
    for (let bucket = 0; bucket < counts.length; bucket++) {
      const count = counts[bucket]!;
      if (count !== 0) this.#put(bucket, count);
    }
  }

  static of(timesNs: Iterable<number>): Histogram {
    const histogram = new Histogram();
    for (const ns of timesNs) histogram.record(ns);
    return histogram;
  }

  /** One a bucket, all of them: a copy. */
  get counts(): Float64Array {
    const counts = new Float64Array(BUCKETS);
    counts.set(this.#counts, this.#first);
    return counts;
  }

  get count(): number {
    return this.#count;
  }

  /** The exact sum of the recorded times, in ns. */
  get sumNs(): number {
    return this.#sumNs;
  }

  /** The exact mean in ns; 0 when empty. */
  get meanNs(): number {
    return this.#count === 0 ? 0 : this.#sumNs / this.#count;
  }

  record(ns: number, times = 1): void {
    this.#put(bucketOf(ns), times);
    this.#sumNs += ns * times;
  }

  add(other: Histogram): void {
    const from = other.#counts;
    if (from.length > 0) {
      this.#reach(other.#first, other.#first + from.length);
      const to = this.#counts;
      const shift = other.#first - this.#first;
      for (let index = 0; index < from.length; index++) to[index + shift] = to[index + shift]! + from[index]!;
    }
    this.#count += other.#count;
    this.#sumNs += other.#sumNs;
  }

  /** The buckets that hold something, each with its count: bucket, count, bucket, count, ... */
  get inUse(): number[] {
    const inUse: number[] = [];
    this.#counts.forEach((count, index) => {
      if (count !== 0) inUse.push(this.#first + index, count);
    });
    return inUse;
  }

  /** @param inUse as another histogram's `inUse`; with its sum, in ns */
  addInUse(inUse: ArrayLike<number>, sumNs: number): void {
    for (let at = 0; at < inUse.length; at += 2) this.#put(inUse[at]!, inUse[at + 1]!);
    this.#sumNs += sumNs;
  }

  /** Takes out what was added before. */
  subtract(other: Histogram): void {
    const taken = other.#counts;
    if (taken.length > 0) this.#reach(other.#first, other.#first + taken.length);
    const shift = other.#first - this.#first;
    for (let index = 0; index < taken.length; index++) {
      this.#counts[index + shift] = this.#counts[index + shift]! - taken[index]!;
    }
    this.#count -= other.#count;
    this.#sumNs -= other.#sumNs;
  }

  clone(): Histogram {
    const copy = new Histogram();
    copy.add(this);
    return copy;
  }

  /**
   * The time, in ns, that a share `quantile` (0..1) of the recorded times does not exceed, by linear interpolation inside
   * its bucket: at most one bucket's width off. 0 when empty.
   */
  quantileNs(quantile: number): number {
    return this.quantilesNs([quantile])[0]!;
  }

  /** Several quantiles in one go through the buckets. @param quantiles ascending */
  quantilesNs(quantiles: readonly number[]): number[] {
    if (this.#count === 0) return quantiles.map(() => 0);
    const found: number[] = [];
    let below = 0;
    for (let index = 0; index < this.#counts.length && found.length < quantiles.length; index++) {
      const count = this.#counts[index]!;
      if (count <= 0) continue;
      const bucket = this.#first + index;
      for (;;) {
        const rank = Math.min(1, Math.max(0, quantiles[found.length]!)) * this.#count;
        if (below + count < rank) break;
        const low = bucketLowNs(bucket);
        found.push(low + ((rank - below) / count) * (bucketHighNs(bucket) - low));
        if (found.length === quantiles.length) break;
      }
      below += count;
    }
    // Ranks that rounding has put beyond the last count.
    while (found.length < quantiles.length) found.push(this.maxNs);
    return found;
  }

  /** The upper bound, in ns, of the highest bucket that has a count; 0 when empty. */
  get maxNs(): number {
    for (let index = this.#counts.length - 1; index >= 0; index--) {
      if (this.#counts[index]! > 0) return bucketHighNs(this.#first + index);
    }
    return 0;
  }

  /**
   * How much the times vary: the mean of their squares ÷ the square of their mean, which is 1 for a constant and 2 for an
   * exponential distribution. From the middles of the buckets; 1 when empty.
   */
  get variability(): number {
    let sum = 0;
    let squares = 0;
    for (let index = 0; index < this.#counts.length; index++) {
      const count = this.#counts[index]!;
      if (count <= 0) continue;
      const middle = (bucketLowNs(this.#first + index) + bucketHighNs(this.#first + index)) / 2;
      sum += count * middle;
      squares += count * middle * middle;
    }
    return sum <= 0 ? 1 : Math.max(1, (squares * this.#count) / (sum * sum));
  }

  /** How many recorded times lie in buckets wholly above `ns`: a lower bound for the exact count. */
  countAbove(ns: number): number {
    let above = 0;
    for (let index = Math.max(0, bucketOf(ns) + 1 - this.#first); index < this.#counts.length; index++) {
      above += this.#counts[index]!;
    }
    return above;
  }

  #put(bucket: number, times: number): void {
    this.#reach(bucket, bucket + 1);
    const index = bucket - this.#first;
    this.#counts[index] = this.#counts[index]! + times;
    this.#count += times;
  }

  /** Keeps the buckets from `first` to before `end`, too. */
  #reach(first: number, end: number): void {
    if (this.#counts.length === 0) this.#first = first;
    if (first < this.#first) {
      this.#counts = [...zeros(this.#first - first), ...this.#counts];
      this.#first = first;
    }
    while (this.#first + this.#counts.length < end) this.#counts.push(0);
  }
}

const zeros = (length: number): number[] => new Array<number>(length).fill(0);
