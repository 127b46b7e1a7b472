import { NS_PER_S } from '../core/units.ts';

/** What is known of a turn so far. Times in ns, from the start of the stream. */
export interface SeenTurn {
  readonly target: number;
  readonly arrivalNs: number;
  readonly readNs: number;
  readonly sentNs: number;
  /** More of its reply will follow, however late. */
  readonly cutShort: boolean;
}

/** @param target its index; times in ns, the arrival from the start of the stream */
export type TakeTurn = (target: number, arrivalNs: number, socketWaitNs: number, handlingTimeNs: number) => void;

/** A reply that was cut short so long ago is not waited for any more: its connection may be gone. */
const LONGEST_CUT_NS = 60 * NS_PER_S;

/**
 * Puts together what the probes tell of a turn piece by piece. A turn has ended when the next one on its connection is told
 * of, or when a further send would come too late to extend it. Holds one turn a connection.
 */
export class TurnJoiner {
  take: TakeTurn = () => {};
  readonly #extendNs: number;
  /** By connection; the one that was heard of longest ago first. */
  readonly #open = new Map<number, SeenTurn>();
  readonly #late = new Map<number, number>();

  /** @param extendNs after its last send a turn may be extended for so long */
  constructor(extendNs: number) {
    this.#extendNs = extendNs;
  }

  /** @param continues whether it was told of before */
  join(connection: number, turn: SeenTurn, continues: boolean): void {
    const before = this.#open.get(connection);
    if (before !== undefined) {
      this.#open.delete(connection);
      if (before.arrivalNs !== turn.arrivalNs) this.#hand(before);
    }
    if (continues && before?.arrivalNs !== turn.arrivalNs) {
      // Its beginning was lost, or it was handed out as it was by then.
      this.#late.set(turn.target, this.late(turn.target) + 1);
    } else {
      this.#open.set(connection, turn);
    }
  }

  /** Hands out what can no longer be extended at `nowNs`; Infinity: everything. */
  endBefore(nowNs: number): void {
    for (const [connection, turn] of this.#open) {
      const endsNs = turn.sentNs + (turn.cutShort ? LONGEST_CUT_NS : this.#extendNs);
      if (endsNs < nowNs) {
        this.#open.delete(connection);
        this.#hand(turn);
      } else if (!turn.cutShort) {
        return;
      }
    }
  }

  /** Pieces that came when their turn was not known any more. */
  late(target: number): number {
    return this.#late.get(target) ?? 0;
  }

  #hand({ target, arrivalNs, readNs, sentNs }: SeenTurn): void {
    // Readings of the clock on two CPUs may differ by some ns.
    this.take(target, arrivalNs, Math.max(0, readNs - arrivalNs), Math.max(0, sentNs - readNs));
  }
}
