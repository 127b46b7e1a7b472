import type { Clock } from '../core/clock.ts';
import { Lease } from './lease.ts';

/** Who pauses without a name. */
const OPERATOR = '';

/**
 * Who holds the machine at full speed, each for themselves: a program that measures must not end an operator's pause with its
 * own. Governing goes on when nobody holds it any more.
 */
export class Pauses {
  readonly #clock: Pick<Clock, 'wallMs'>;
  readonly #onOver: () => void;
  /** By holder; null: until it is ended. */
  readonly #held = new Map<string, Lease | null>();

  /** @param onOver told when the last of them has ended by itself, and not when it was ended */
  constructor(clock: Pick<Clock, 'wallMs'>, onOver: () => void) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  get any(): boolean {
    return this.#held.size > 0;
  }

  /** When the last of them will have ended by itself; null where one lasts, and where none is held. */
  get endsAt(): Date | null {
    let latest: Date | null = null;
    for (const lease of this.#held.values()) {
      const endsAt = lease?.endsAt ?? null;
      if (endsAt === null) return null;
      if (latest === null || endsAt > latest) latest = endsAt;
    }
    return latest;
  }

  /**
   * A pause that lasts is not shortened by one of the same holder that ends by itself.
   *
   * @param holder null: the operator
   * @param forMs ends by itself after so long, unless it is held again; null: when it is ended
   * @returns false where the holder had it already, and no longer than before but in time
   */
  hold(holder: string | null, forMs: number | null): boolean {
    const name = holder ?? OPERATOR;
    const before = this.#held.get(name);
    if (before === null) return false;
    if (forMs === null) {
      before?.drop();
      this.#held.set(name, null);
      return true;
    }
    const lease = before ?? new Lease(this.#clock, () => this.#over(name));
    lease.hold(forMs);
    this.#held.set(name, lease);
    return before === undefined;
  }

  /** @param holder null: everybody's @returns whether there was anything to end */
  end(holder: string | null): boolean {
    const names = holder === null ? [...this.#held.keys()] : [holder].filter((name) => this.#held.has(name));
    for (const name of names) {
      this.#held.get(name)?.drop();
      this.#held.delete(name);
    }
    return names.length > 0;
  }

  #over(name: string): void {
    this.#held.delete(name);
    if (!this.any) this.#onOver();
  }
}
