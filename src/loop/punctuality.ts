/**
 * How a loop keeps its beat. `hurried`: what is not control is left out. `overrun`: what it decides comes too late to be worth
 * it.
 */
export type Pace = 'punctual' | 'hurried' | 'overrun';

/** What a punctual tick takes away again: the mark falls as long as fewer than one in three ticks comes after missed ones. */
const RELIEF = 0.5;
/** So many ticks in a row that missed ones go before: less is a hiccup, or a machine that was suspended. */
const HURRIED_AT = 2;
const OVERRUN_AT = 5;
/** So many punctual ticks in a row, and it keeps time again. A thread that has waited gets its CPU promptly for a while. */
const RECOVERED_AFTER = 50;

/**
 * Tells from the ticks that were missed whether the loop keeps time: a bucket that each gap fills and each punctual tick
 * drains. How long a gap was does not count, for a night in suspension is one gap.
 */
export class Punctuality {
  #mark = 0;
  #punctualInARow = 0;
  #pace: Pace = 'punctual';

  get pace(): Pace {
    return this.#pace;
  }

  /** @param missed the ticks that were due since the one before, and did not happen */
  tick(missed: number): Pace {
    const punctual = missed === 0;
    this.#mark = punctual ? Math.max(0, this.#mark - RELIEF) : Math.min(OVERRUN_AT, this.#mark + 1);
    this.#punctualInARow = punctual ? this.#punctualInARow + 1 : 0;
    if (this.#punctualInARow >= RECOVERED_AFTER) this.#pace = 'punctual';
    else if (this.#mark >= OVERRUN_AT) this.#pace = 'overrun';
    else if (this.#mark >= HURRIED_AT && this.#pace === 'punctual') this.#pace = 'hurried';
    return this.#pace;
  }
}
