/** What a system call does to the descriptor that is its first argument, or that it returns where it accepts. */
interface Role {
  readonly does: 'read' | 'send' | 'accept';
  /** The argument that holds flags of recv(2), from 0. */
  readonly flagsAt?: 2 | 3;
  readonly numbers: Readonly<Record<'x64' | 'arm64', number>>;
}

/** Numbers as in arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h. */
const ROLES: Readonly<Record<string, Role>> = {
  read: { does: 'read', numbers: { x64: 0, arm64: 63 } },
  readv: { does: 'read', numbers: { x64: 19, arm64: 65 } },
  recvfrom: { does: 'read', flagsAt: 3, numbers: { x64: 45, arm64: 207 } },
  recvmsg: { does: 'read', flagsAt: 2, numbers: { x64: 47, arm64: 212 } },
  recvmmsg: { does: 'read', flagsAt: 3, numbers: { x64: 299, arm64: 243 } },
  write: { does: 'send', numbers: { x64: 1, arm64: 64 } },
  writev: { does: 'send', numbers: { x64: 20, arm64: 66 } },
  sendfile: { does: 'send', numbers: { x64: 40, arm64: 71 } },
  sendto: { does: 'send', numbers: { x64: 44, arm64: 206 } },
  sendmsg: { does: 'send', numbers: { x64: 46, arm64: 211 } },
  accept: { does: 'accept', numbers: { x64: 43, arm64: 202 } },
  accept4: { does: 'accept', numbers: { x64: 288, arm64: 242 } },
  sendmmsg: { does: 'send', numbers: { x64: 307, arm64: 269 } },
};

/** SYSCALLS, ROLE_READ, ROLE_SEND, ROLE_ACCEPT and FLAGS_SHIFT of bpf/turns-syscall.bpf.c. */
const SYSCALLS = 512;
const ROLE_BITS = { read: 1, send: 2, accept: 3 } as const;
const FLAGS_SHIFT = 4;

/**
 * The table `syscall_roles` of the method `syscall`: a byte for each number.
 * @param architecture as in `process.arch`; on one that is not known no call has a role
 */
export function syscallRoles(architecture: string): Uint8Array {
  const roles = new Uint8Array(SYSCALLS);
  if (architecture !== 'x64' && architecture !== 'arm64') return roles;
  for (const { does, flagsAt = 0, numbers } of Object.values(ROLES)) {
    roles[numbers[architecture]] = ROLE_BITS[does] | (flagsAt << FLAGS_SHIFT);
  }
  return roles;
}
