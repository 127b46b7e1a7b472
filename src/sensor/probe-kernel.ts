import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { SensorError } from '../core/errors.ts';
import { KernelBtf } from '../native/kernel-btf.ts';
import { libbpfVersion, NativeError } from '../native/libbpf.ts';
import {
  chooseMethod,
  type MethodChoice,
  type Probe,
  type ProbeMethod,
  type SocketKind,
  type Walk,
  wantedFor,
} from './probe-methods.ts';

const KERNEL_BTF = '/sys/kernel/btf/vmlinux';

export interface ChosenMethod {
  readonly method: ProbeMethod;
  /** Those of its probes that these targets take and this kernel has. */
  readonly probes: readonly Probe[];
  /** Those of its walks that these targets take. */
  readonly walks: readonly Walk[];
  /** Whether these probes can look at frames, and the kernel lets them: Linux 5.17, on x86 and arm64. */
  readonly canParseHttp2: boolean;
}

/** What bpf/http2.h calls, by the names of the kernel's functions. */
const HTTP2_HELPERS = ['bpf_loop', 'bpf_task_pt_regs', 'bpf_get_current_task_btf'];
const HTTP2_ARCHITECTURES: readonly string[] = ['x64', 'arm64'];

/**
 * @param kinds of targets, besides those of TCP
 * @throws SensorError where no method that may be used can work here, whoever we are
 */
export function chooseMethodHere(choice: MethodChoice, kinds: readonly SocketKind[] = []): ChosenMethod {
  assertProbesLoadable();
  const btf = KernelBtf.open();
  try {
    const has = ({ kind, at }: Probe) => (kind === 'function' ? btf.hasFunction(at) : btf.hasTracepoint(at));
    const method = chooseMethod(choice, has, kinds);
    if ('problem' in method) {
      throw new SensorError(
        'kernel-too-old',
        `choose how to measure: Linux ${release()} does not do: ${method.problem}`,
      );
    }
    const canParseHttp2 =
      method.name !== 'syscall' &&
      HTTP2_ARCHITECTURES.includes(process.arch) &&
      HTTP2_HELPERS.every((helper) => btf.hasFunction(helper));
    return {
      method,
      probes: wantedFor(kinds, method.probes).filter(has),
      walks: wantedFor(kinds, method.walks),
      canParseHttp2,
    };
  } finally {
    btf.close();
  }
}

function assertProbesLoadable(): void {
  try {
    libbpfVersion();
  } catch (cause) {
    if (!(cause instanceof NativeError)) throw cause;
    throw new SensorError('no-libbpf', cause.message, { cause });
  }
  if (!existsSync(KERNEL_BTF)) {
    throw new SensorError(
      'no-btf',
      `find the kernel's type information: no ${KERNEL_BTF}; a kernel with CONFIG_DEBUG_INFO_BTF=y is needed`,
    );
  }
}

/** What a refusal by the kernel means, and what to do about it. */
export function explainRefusal(error: unknown, method: ProbeMethod, isRoot = process.geteuid?.() === 0): unknown {
  if (!(error instanceof NativeError)) return error;
  if (error.errnoName === 'EPERM') {
    const toDo = isRoot
      ? ", though this is root: it is locked down, or withholds CAP_BPF or CAP_PERFMON, as a container's does"
      : ': run as root, or with CAP_BPF and CAP_PERFMON';
    return new SensorError('not-root', `load the probes: the kernel does not permit method '${method.name}'${toDo}`, {
      cause: error,
    });
  }
  const needs = `method '${method.name}' needs ${method.availability}, this is Linux ${release()}`;
  return new SensorError('bpf-refused', `${error.message}; ${needs}`, { cause: error });
}
