import { getSystemErrorMap } from 'node:util';

/** What the system's own table does not have, or words for sockets alone: the kernel's inner errors, and libbpf's. */
const MORE_ERRORS: ReadonlyMap<number, readonly [name: string, description: string]> = new Map([
  [95, ['EOPNOTSUPP', 'operation not supported']],
  [524, ['ENOTSUPP', 'operation not supported by the kernel']],
  [4000, ['LIBBPF_ERRNO__LIBELF', 'libelf failed']],
  [4001, ['LIBBPF_ERRNO__FORMAT', 'not a BPF object']],
  [4003, ['LIBBPF_ERRNO__ENDIAN', "not of this machine's byte order"]],
  [4004, ['LIBBPF_ERRNO__INTERNAL', 'internal error of libbpf']],
  [4005, ['LIBBPF_ERRNO__RELOC', 'relocation failed']],
  [4006, ['LIBBPF_ERRNO__LOAD', 'the program could not be loaded']],
  [4007, ['LIBBPF_ERRNO__VERIFY', 'the verifier refused the program']],
  [4008, ['LIBBPF_ERRNO__PROG2BIG', 'the program is too big']],
  [4010, ['LIBBPF_ERRNO__PROGTYPE', 'the kernel has no such program type']],
]);

interface ErrorDetails {
  readonly detail?: string | undefined;
  readonly log?: string;
  readonly cause?: unknown;
}

/** A call into libbpf or libc that failed. The operation says what was tried, in words; the message says all of it. */
export class NativeError extends Error {
  override readonly name = 'NativeError';
  /** What was tried, such as `load BPF object 'sensor'`. */
  readonly operation: string;
  /** Positive, as in <errno.h>; from 4000 up, libbpf's own. */
  readonly errno: number;
  /** `EACCES`; `E524` where the number has no name. */
  readonly errnoName: string;
  /** What libbpf said meanwhile, with the kernel's verifier log in it. */
  readonly log?: string;

  constructor(operation: string, errno: number, options: ErrorDetails = {}) {
    const [errnoName, description] = describeErrno(errno);
    const detail = options.detail === undefined ? '' : `: ${options.detail}`;
    super(`${operation}: ${errnoName} (${description})${detail}`, 'cause' in options ? { cause: options.cause } : {});
    this.operation = operation;
    this.errno = errno;
    this.errnoName = errnoName;
    if (options.log !== undefined) this.log = options.log;
  }
}

function describeErrno(errno: number): readonly [name: string, description: string] {
  return MORE_ERRORS.get(errno) ?? getSystemErrorMap().get(-errno) ?? [`E${errno}`, 'unknown error'];
}
