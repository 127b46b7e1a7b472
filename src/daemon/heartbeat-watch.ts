/** How often a heartbeat may stand still, in checks: while the loop starts, and from then on. */
export interface StillnessLimits {
  readonly starting: number;
  readonly governing: number;
}

/**
 * Tells whether a loop is stuck, from looks at the count of its wake-ups. Counted in looks, not by the clock: a suspended machine
 * stops who looks as well.
 */
export class HeartbeatWatch {
  readonly #limits: StillnessLimits;
  #seen = -1;
  #still = 0;
  #governed = false;

  constructor(limits: StillnessLimits) {
    this.#limits = limits;
  }

  /** The looks since it last moved, or since it governs: how long the start took counts no more. */
  get still(): number {
    return this.#still;
  }

  /** @returns whether it has stood still for too long */
  look(beats: number, governs: boolean): boolean {
    const moved = beats !== this.#seen || governs !== this.#governed;
    this.#still = moved ? 0 : this.#still + 1;
    this.#seen = beats;
    this.#governed = governs;
    return this.#still >= (governs ? this.#limits.governing : this.#limits.starting);
  }
}
