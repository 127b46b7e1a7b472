import { BTF_KIND } from './btf.ts';
import { complaintIn } from './complaint.ts';
import { libbpf } from './libbpf-functions.ts';
import { withLibbpfLog } from './libbpf-log.ts';
import { lastErrno } from './libc.ts';
import { NativeError } from './native-error.ts';
import { Scope } from './scope.ts';

/** The kernel's own type information: which functions and tracepoints a program may attach to. Modules are not in it. */
export class KernelBtf {
  readonly #address: bigint;
  readonly #scope: Scope;

  private constructor(address: bigint) {
    this.#address = address;
    this.#scope = new Scope("the kernel's BTF", () => libbpf().btf__free(address));
  }

  /** Takes some megabytes until close(). @throws NativeError `load the kernel's BTF` when the kernel has none */
  static open(): KernelBtf {
    const { result, said } = withLibbpfLog(undefined, () => libbpf().btf__load_vmlinux_btf() ?? lastErrno());
    if (typeof result === 'bigint') return new KernelBtf(result);
    throw new NativeError("load the kernel's BTF", result, { detail: complaintIn(said), log: said });
  }

  /** Whether fentry and fexit find a function of that name. The kernel may still refuse to attach to it. */
  hasFunction(name: string): boolean {
    return this.#has(name, BTF_KIND.func);
  }

  /** Whether tp_btf finds a tracepoint of that name, such as `sched_switch`. */
  hasTracepoint(name: string): boolean {
    return this.#has(`btf_trace_${name}`, BTF_KIND.typedef);
  }

  close(): void {
    this.#scope.close();
  }

  #has(name: string, kind: number): boolean {
    this.#scope.assertOpen();
    return libbpf().btf__find_by_name_kind(this.#address, name, kind) > 0;
  }
}
