import type { Clock } from '../core/clock.ts';

/**
 * A change that ends by itself unless whoever asked for it asks again in time: they may be killed before they take it back.
 */
export class Lease {
  readonly #clock: Pick<Clock, 'wallMs'>;
  readonly #onEnd: () => void;
  #timer: NodeJS.Timeout | undefined;
  #endsAtMs = 0;

  constructor(clock: Pick<Clock, 'wallMs'>, onEnd: () => void) {
    this.#clock = clock;
    this.#onEnd = onEnd;
  }

  get held(): boolean {
    return this.#timer !== undefined;
  }

  /** When it ends; null where nothing is held. */
  get endsAt(): Date | null {
    return this.held ? new Date(this.#endsAtMs) : null;
  }

  /** Holds it for so long from now on, be that more or less than was left. @param ms up to 2³¹ − 1, what a timer takes */
  hold(ms: number): void {
    this.drop();
    this.#endsAtMs = this.#clock.wallMs() + ms;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#onEnd();
    }, ms);
  }

  /** It ends no more by itself: it was taken back, or is to last. */
  drop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
