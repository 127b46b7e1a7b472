import { libc } from './libc.ts';
import { Scope } from './scope.ts';

/**
 * A file descriptor that this room has opened. It is closed by libc and not by node:fs, which warns in worker threads of
 * descriptors that it did not open.
 */
export class Descriptor {
  readonly #fd: number;
  readonly #scope: Scope;

  /** @param owner whether close() closes the descriptor itself; `borrowed` ones stay open */
  constructor(what: string, fd: number, owner: 'owned' | 'borrowed' = 'owned') {
    this.#fd = fd;
    this.#scope = new Scope(what, () => {
      if (owner === 'owned') libc().close(fd);
    });
  }

  /** @throws Error when closed */
  get fd(): number {
    this.#scope.assertOpen();
    return this.#fd;
  }

  close(): void {
    this.#scope.close();
  }
}
