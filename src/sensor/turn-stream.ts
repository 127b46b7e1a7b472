import { endianness } from 'node:os';
import type { Clock } from '../core/clock.ts';
import { NS_PER_MS } from '../core/units.ts';
import { type BpfObject, type MappedMemory, RingBuffer, variableOffset } from '../native/libbpf.ts';
import { TURN_FLAGS, TURN_RECORD } from './layout.ts';
import { TurnJoiner, type TakeTurn } from './turn-joiner.ts';

/** Room for some 350,000 turns of 40 bytes and their headers of 8: the time for which a reader may be away. */
export const RECORDED_BYTES = 16 * 1024 * 1024;
/** Between reading the clock and the record's arrival in the ring. */
const SLACK_NS = 10 * NS_PER_MS;
const LITTLE_ENDIAN = endianness() === 'LE';
const TWO_TO_32 = 2 ** 32;

/** Turns one by one, in the order in which they ended. Nothing wakes anybody: `drain` must come often enough. */
export class TurnStream {
  /** CLOCK_MONOTONIC at which the stream began: what its times are counted from. */
  readonly startNs: bigint;
  readonly #ring: RingBuffer;
  readonly #lost: BigUint64Array;
  readonly #clock: Clock;
  readonly #joiner: TurnJoiner;
  readonly #startHigh: number;
  readonly #startLow: number;

  constructor(object: BpfObject, memory: MappedMemory, extendGapNs: number, clock: Clock) {
    const { offset, size } = variableOffset(object.map('.bss'), 'recording_lost');
    this.startNs = clock.monotonicNs();
    this.#startHigh = Number(this.startNs >> 32n);
    this.#startLow = Number(this.startNs & 0xffff_ffffn);
    this.#clock = clock;
    this.#lost = new BigUint64Array(memory.buffer, offset, size / 8);
    this.#joiner = new TurnJoiner(extendGapNs + SLACK_NS);
    this.#ring = new RingBuffer(object.map('recorded'), (bytes) => this.#join(bytes));
  }

  /** Hands out the turns of all targets that have ended. */
  drain(take: TakeTurn): void {
    const nowNs = Number(this.#clock.monotonicNs() - this.startNs);
    this.#joiner.take = take;
    this.#ring.consume();
    this.#joiner.endBefore(nowNs);
  }

  /** Hands out what is left, ended or not: nothing more will be recorded. */
  finish(take: TakeTurn): void {
    this.drain(take);
    this.#joiner.endBefore(Infinity);
  }

  /** Turns of a target, by its index, that did not reach us, or reached us too late. */
  lost(target: number): number {
    return Number(this.#lost[target] ?? 0n) + this.#joiner.late(target);
  }

  #join(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const word = (at: number) => view.getUint32(at, LITTLE_ENDIAN);
    const [lowAt, highAt] = LITTLE_ENDIAN ? [0, 4] : [4, 0];
    const since = (at: number) =>
      (word(at + highAt) - this.#startHigh) * TWO_TO_32 + (word(at + lowAt) - this.#startLow);
    const arrivalNs = since(TURN_RECORD.arrivalNs);
    const flags = word(TURN_RECORD.flags);
    this.#joiner.join(
      // Of a kernel address the low 48 bits differ; more would not fit a number exactly.
      (word(TURN_RECORD.connection + highAt) & 0xffff) * TWO_TO_32 + word(TURN_RECORD.connection + lowAt),
      {
        target: word(TURN_RECORD.target),
        arrivalNs,
        readNs: since(TURN_RECORD.readNs),
        sentNs: since(TURN_RECORD.sentNs),
        cutShort: (flags & TURN_FLAGS.cutShort) !== 0,
      },
      (flags & TURN_FLAGS.continues) !== 0,
    );
  }
}
