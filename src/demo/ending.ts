/** Lets every wait end when a part fails or the demo is to stop: each is made through `or`. */
export class Ending {
  readonly #signal: AbortSignal;
  readonly #failure: Promise<never>;
  readonly #onAbort: () => void;
  #reject: (error: Error) => void = () => {};

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    this.#failure = new Promise((_, reject) => (this.#reject = reject));
    // Whoever waits is told; when nobody does there is nothing to tell.
    this.#failure.catch(() => {});
    this.#onAbort = () => this.fail(signal.reason as Error);
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener('abort', this.#onAbort);
  }

  /** Bound, so that it can be handed over as a callback. */
  readonly fail = (error: Error): void => this.#reject(error);

  /** @throws what ended it, when that comes first */
  or<T>(step: Promise<T>): Promise<T> {
    return Promise.race([step, this.#failure]);
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
  }
}
