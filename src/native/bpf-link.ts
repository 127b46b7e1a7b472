import { libbpf } from './libbpf-functions.ts';
import { NativeError } from './native-error.ts';
import { Scope } from './scope.ts';

/** A program that is attached. It is detached by close(), or with its object. */
export class BpfLink {
  readonly program: string;
  readonly #address: bigint;
  readonly #scope: Scope;

  /** Takes over a struct bpf_link * that belongs to the object of `parent`. */
  constructor(parent: Scope, address: bigint, program: string) {
    this.program = program;
    this.#address = address;
    this.#scope = new Scope(`link of program '${program}'`, () => {
      parent.forget(this);
      const result = libbpf().bpf_link__destroy(address);
      if (result < 0) throw new NativeError(`detach program '${program}'`, -result);
    });
    parent.adopt(this);
  }

  get fd(): number {
    this.#scope.assertOpen();
    return libbpf().bpf_link__fd(this.#address);
  }

  close(): void {
    this.#scope.close();
  }
}
