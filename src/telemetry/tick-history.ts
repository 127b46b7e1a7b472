import type { TickReport } from '../core/tick-report.ts';

/** The newest ticks, for views that come and ask. */
export class TickHistory {
  readonly #limit: number;
  #ticks: TickReport[] = [];
  #faults = 0;

  constructor(limit = 1000) {
    this.#limit = limit;
  }

  add(report: TickReport): void {
    this.#ticks.push(report);
    this.#faults += report.faults.length;
    // Trimmed in one go now and then: a shift of a long array at every tick would cost more.
    if (this.#ticks.length > this.#limit * 1.25) this.#ticks = this.#ticks.slice(-this.#limit);
  }

  get last(): TickReport | null {
    return this.#ticks.at(-1) ?? null;
  }

  get faults(): number {
    return this.#faults;
  }

  /** The kept ticks with a number above `tick`, oldest first. */
  after(tick: number): readonly TickReport[] {
    const ticks = this.#ticks.slice(-this.#limit);
    return ticks.filter((report) => report.tick > tick);
  }
}
