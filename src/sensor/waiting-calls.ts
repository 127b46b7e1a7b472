/** Numbers as in arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h; arm64 has not all of them. */
const WAITING_CALLS = {
  x64: { poll: 7, select: 23, epoll_wait: 232, pselect6: 270, ppoll: 271, epoll_pwait: 281, epoll_pwait2: 441 },
  arm64: { pselect6: 72, ppoll: 73, epoll_pwait: 22, epoll_pwait2: 441 },
} as const;

/** SYSCALLS of bpf/system-call.h. */
const SYSCALLS = 512;

/**
 * The table `waiting_calls` of bpf/secondary-probes.h: 1 for each system call in which a server waits for work.
 * @param architecture as in `process.arch`; on one that is not known no call waits
 */
export function waitingCalls(architecture: string): Uint8Array {
  const table = new Uint8Array(SYSCALLS);
  if (architecture !== 'x64' && architecture !== 'arm64') return table;
  for (const number of Object.values(WAITING_CALLS[architecture])) table[number] = 1;
  return table;
}
