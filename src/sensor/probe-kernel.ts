import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { SensorError } from '../core/errors.ts';
import { KernelBtf } from '../native/kernel-btf.ts';
import { libbpfVersion, NativeError } from '../native/libbpf.ts';

const KERNEL_BTF = '/sys/kernel/btf/vmlinux';
const TRACEPOINTS = ['sk_data_ready', 'sock_recv_length', 'sock_send_length', 'inet_sock_set_state'];

/** @throws SensorError where the method `tracepoint` cannot work here, whoever we are */
export function assertTracepointsUsable(): void {
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
  const missing = missingTracepoints();
  if (missing.length > 0) {
    throw new SensorError(
      'kernel-too-old',
      `find the tracepoints of method 'tracepoint': Linux ${release()} lacks ${missing.join(', ')}, Linux 6.3 has them; ` +
        `an older kernel needs method 'fentry' or 'syscall', which this version does not have`,
    );
  }
}

function missingTracepoints(): readonly string[] {
  const btf = KernelBtf.open();
  try {
    return TRACEPOINTS.filter((name) => !btf.hasTracepoint(name));
  } finally {
    btf.close();
  }
}

/** What a refusal by the kernel means, and what to do about it. */
export function explainRefusal(error: unknown): unknown {
  if (!(error instanceof NativeError)) return error;
  if (error.errnoName === 'EPERM') {
    return new SensorError('not-root', 'load the probes: not permitted; run as root, or with CAP_BPF and CAP_PERFMON', {
      cause: error,
    });
  }
  return new SensorError('bpf-refused', error.message, { cause: error });
}
