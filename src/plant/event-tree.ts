/**
 * The times of what happens next, one a slot, with the earliest of all slots at hand: a tournament in which each inner
 * node names the slot that wins its subtree. Setting a time costs log₂ of the slots; nothing is allocated. Equal times go
 * to the lower slot, so that the order of events does not depend on history.
 */
export class EventTree {
  /** Infinity where nothing is due. Whoever writes one calls `update` for its slot before anything else is asked. */
  declare readonly timesNs: Float64Array;
  /** Winners: node 1 is the root, the children of n are 2n and 2n + 1, the leaves begin at #leaves. */
  declare private readonly winners: Int32Array;
  declare private readonly leaves: number;

  constructor(slots: number) {
    this.leaves = 2 ** Math.ceil(Math.log2(Math.max(2, slots)));
    this.timesNs = new Float64Array(this.leaves).fill(Infinity);
    this.winners = new Int32Array(2 * this.leaves);
    for (let slot = 0; slot < this.leaves; slot++) this.winners[this.leaves + slot] = slot;
    for (let node = this.leaves - 1; node > 0; node--) this.winners[node] = this.winners[2 * node]!;
  }

  /** The slot that is due first; its time is Infinity when nothing is due at all. */
  get next(): number {
    return this.winners[1]!;
  }

  get nextNs(): number {
    return this.timesNs[this.winners[1]!]!;
  }

  /** Takes in the slot's new time. (A time passed as an argument would be allocated wherever the call is not inlined.) */
  update(slot: number): void {
    const times = this.timesNs;
    const winners = this.winners;
    let winner = slot;
    for (let node = this.leaves + slot; node > 1; node >>= 1) {
      const rival = winners[node ^ 1]!;
      const winnerNs = times[winner]!;
      const rivalNs = times[rival]!;
      // Who wins is a coin's toss to a branch predictor, so there is no branch. An odd node is a right child: its rival has
      // the lower slots.
      const lost = Number(rivalNs < winnerNs) | (Number(rivalNs === winnerNs) & node & 1);
      winner ^= (winner ^ rival) & -lost;
      winners[node >> 1] = winner;
    }
  }
}
