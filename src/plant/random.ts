import { EXPONENTIAL, NORMAL } from './ziggurat.ts';

const BLOCK = 1024;

/**
 * A seeded stream of randomness: sfc32, the small fast counting generator of Chris Doty-Humphrey's PractRand, 128 bits of
 * state in 32-bit arithmetic. Streams with different names are independent for all that matters here, so that what one of
 * them is asked for never shifts another.
 */
export class Random {
  private a = 0;
  private b = 0;
  private c = 0;
  private counter = 1;
  /** Words made ahead: a tight loop keeps the state in registers. */
  private readonly words = new Uint32Array(BLOCK);
  private used = BLOCK;

  /** @param seed any safe integer @param stream what the randomness is for, such as `arrivals of cache` */
  constructor(seed: number, stream: string) {
    let mixed = (seed ^ Math.floor(seed / 2 ** 32)) | 0;
    for (let i = 0; i < stream.length; i++) mixed = scramble(mixed ^ stream.charCodeAt(i));
    this.a = scramble(mixed);
    this.b = scramble(this.a ^ seed);
    this.c = scramble(this.b ^ mixed);
    // Neighbouring seeds take a few rounds to part.
    for (let i = 0; i < 16; i++) this.nextUint32();
  }

  /** Uniform in 0 .. 2^32 − 1. */
  nextUint32(): number {
    if (this.used === BLOCK) this.refill();
    return this.words[this.used++]!;
  }

  /** Uniform in the open interval (0, 1), 52 bits: neither end is ever drawn, so that its logarithm is always finite. */
  nextUnit(): number {
    const high = this.nextUint32() >>> 6;
    const low = this.nextUint32() >>> 6;
    return (high * 2 ** 26 + low + 0.5) * 2 ** -52;
  }

  /** Exponential with mean 1, by the ziggurat: the upper 24 bits of a word are the place in the layer that the rest choose. */
  nextExponential(): number {
    const { edges, heights, tailEdge } = EXPONENTIAL;
    for (;;) {
      const word = this.nextUint32();
      const layer = word & 0xff;
      const x = ((word >>> 8) + 0.5) * 2 ** -24 * edges[layer]!;
      if (x < edges[layer + 1]!) return x;
      if (layer === 0) return tailEdge - Math.log(this.nextUnit());
      if (inWedge(heights, layer, this.nextUnit(), Math.exp(-x))) return x;
    }
  }

  /** Standard normal, by the ziggurat; its tail by Marsaglia's method ("Generating a variable from the tail", 1964). */
  nextNormal(): number {
    const { edges, heights, tailEdge } = NORMAL;
    for (;;) {
      const word = this.nextUint32();
      const layer = word & 0xff;
      const sign = (word & 0x100) === 0 ? 1 : -1;
      const x = ((word >>> 9) + 0.5) * 2 ** -23 * edges[layer]!;
      if (x < edges[layer + 1]!) return sign * x;
      if (layer === 0) return sign * this.normalTail(tailEdge);
      if (inWedge(heights, layer, this.nextUnit(), Math.exp((-x * x) / 2))) return sign * x;
    }
  }

  private normalTail(tailEdge: number): number {
    for (;;) {
      const beyond = -Math.log(this.nextUnit()) / tailEdge;
      if (-2 * Math.log(this.nextUnit()) > beyond * beyond) return tailEdge + beyond;
    }
  }

  private refill(): void {
    let a = this.a;
    let b = this.b;
    let c = this.c;
    let counter = this.counter;
    for (let i = 0; i < BLOCK; i++) {
      const sum = (((a + b) | 0) + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + sum) | 0;
      this.words[i] = sum;
    }
    this.a = a;
    this.b = b;
    this.c = c;
    this.counter = counter;
    this.used = 0;
  }
}

function inWedge(heights: Float64Array, layer: number, unit: number, density: number): boolean {
  return heights[layer]! + unit * (heights[layer + 1]! - heights[layer]!) < density;
}

/** A finalizer that lets each bit of a 32-bit word touch every other (the constants are those of MurmurHash3). */
export function scramble(word: number): number {
  let mixed = word ^ (word >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
