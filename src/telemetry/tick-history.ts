import type { TickReport } from '../core/tick-report.ts';

/** The newest ticks, for views that come and ask. Kept as text: as objects they would be most of what the main thread holds. */
export class TickHistory {
  readonly #limit: number;
  #ticks: { readonly tick: number; readonly text: string }[] = [];
  #last: TickReport | null = null;
  #faults = 0;

  constructor(limit = 1000) {
    this.#limit = limit;
  }

  /** @param text the report in JSON */
  add(report: TickReport, text: string): void {
    this.#ticks.push({ tick: report.tick, text });
    this.#last = report;
    this.#faults += report.faults.length;
    // Trimmed in one go now and then: a shift of a long array at every tick would cost more.
    if (this.#ticks.length > this.#limit * 1.25) this.#ticks = this.#ticks.slice(-this.#limit);
  }

  get last(): TickReport | null {
    return this.#last;
  }

  get faults(): number {
    return this.#faults;
  }

  /** The kept ticks with a number above `tick`, oldest first: reports in JSON. */
  after(tick: number): readonly string[] {
    const kept = this.#ticks.slice(-this.#limit).filter((each) => each.tick > tick);
    return kept.map(({ text }) => text);
  }
}
