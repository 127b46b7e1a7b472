export interface Closeable {
  close(): void;
}

/**
 * The lifetime of a native thing and of what was made from it: closing closes what still lives in it first, the youngest
 * before the older. Closing twice is harmless; using what is closed is an error, never a crash.
 */
export class Scope {
  /** For messages: `BPF object 'sensor'`. */
  readonly what: string;
  readonly #release: () => void;
  readonly #children = new Set<Closeable>();
  #closed = false;

  constructor(what: string, release: () => void) {
    this.what = what;
    this.#release = release;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** @throws Error when closed */
  assertOpen(): void {
    if (this.#closed) throw new Error(`${this.what} is closed`);
  }

  adopt<T extends Closeable>(child: T): T {
    this.assertOpen();
    this.#children.add(child);
    return child;
  }

  /** The child has been closed on its own. */
  forget(child: Closeable): void {
    this.#children.delete(child);
  }

  /** Closes all; then throws the first error that closing met, if any. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const errors: unknown[] = [];
    const attempt = (action: () => void) => {
      try {
        action();
      } catch (error) {
        errors.push(error);
      }
    };
    for (const child of [...this.#children].reverse()) attempt(() => child.close());
    this.#children.clear();
    attempt(this.#release);
    if (errors.length > 0) throw errors[0];
  }
}
