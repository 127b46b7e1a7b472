import type { SensorMethod } from '../core/sensor.ts';

/** What a BPF program is attached to. */
export interface Probe {
  readonly program: string;
  readonly kind: 'tracepoint' | 'function';
  /** Its name in the kernel's type information. */
  readonly at: string;
  /** Not every kernel that the method is for has it: where it is missing, what it would see does not happen. */
  readonly optional?: true;
}

/** A way to hear of arrivals, reads, sends and closings. */
export interface ProbeMethod {
  readonly name: Extract<SensorMethod, 'tracepoint' | 'fentry' | 'syscall'>;
  readonly objectName: string;
  /** In words, for who lacks it. */
  readonly availability: string;
  readonly probes: readonly Probe[];
  /** The map that holds the state of each connection, which a walk goes over. */
  readonly connections: 'connections' | 'pairings';
}

const STATE_CHANGED = { program: 'state_changed', kind: 'tracepoint', at: 'inet_sock_set_state' } as const;
/** The way of sendfile up to Linux 6.4, which no tracepoint sees. */
export const PAGE_SENT = { program: 'page_sent', kind: 'function', at: 'inet_sendpage', optional: true } as const;

/** Best first. bpf/*.bpf.c has the programs. */
export const PROBE_METHODS: readonly ProbeMethod[] = [
  {
    name: 'tracepoint',
    objectName: 'turns.bpf.o',
    connections: 'connections',
    availability: 'Linux 6.3 or later',
    probes: [
      { program: 'data_ready', kind: 'tracepoint', at: 'sk_data_ready' },
      { program: 'read_returned', kind: 'tracepoint', at: 'sock_recv_length' },
      { program: 'send_returned', kind: 'tracepoint', at: 'sock_send_length' },
      PAGE_SENT,
      STATE_CHANGED,
    ],
  },
  {
    name: 'fentry',
    objectName: 'turns-fentry.bpf.o',
    connections: 'connections',
    availability: 'Linux 5.13 or later, on arm64 6.0',
    probes: [
      { program: 'data_ready', kind: 'function', at: 'sock_def_readable' },
      { program: 'mptcp_data_ready', kind: 'function', at: 'subflow_data_ready', optional: true },
      { program: 'read_returned', kind: 'function', at: 'inet_recvmsg' },
      { program: 'read6_returned', kind: 'function', at: 'inet6_recvmsg', optional: true },
      { program: 'splice_returned', kind: 'function', at: 'tcp_splice_read', optional: true },
      { program: 'send_returned', kind: 'function', at: 'inet_sendmsg' },
      { program: 'send6_returned', kind: 'function', at: 'inet6_sendmsg', optional: true },
      PAGE_SENT,
      STATE_CHANGED,
    ],
  },
  {
    name: 'syscall',
    objectName: 'turns-syscall.bpf.o',
    connections: 'pairings',
    availability: 'Linux 5.12 or later, on x86-64 and arm64',
    probes: [{ program: 'call_returned', kind: 'tracepoint', at: 'sys_exit' }, STATE_CHANGED],
  },
];

/** `auto`: the best one that the kernel offers. */
export const METHOD_CHOICES = ['auto', 'tracepoint', 'fentry', 'syscall'] as const;
export type MethodChoice = (typeof METHOD_CHOICES)[number];

/** Whether the kernel has what a probe is attached to. */
export type HasProbe = (probe: Probe) => boolean;

/** The probes that a kernel lacks and the method cannot do without. */
export const missingProbes = (method: ProbeMethod, has: HasProbe): readonly Probe[] =>
  method.probes.filter((probe) => probe.optional !== true && !has(probe));

/** @returns the method to use, or why none of those that may be used can be */
export function chooseMethod(choice: MethodChoice, has: HasProbe): ProbeMethod | { readonly problem: string } {
  const candidates = PROBE_METHODS.filter(({ name }) => choice === 'auto' || name === choice);
  const usable = candidates.find((method) => missingProbes(method, has).length === 0);
  if (usable !== undefined) return usable;
  const lacks = candidates.map((method) => {
    const names = missingProbes(method, has).map(({ kind, at }) => `${kind} ${at}`);
    return `method '${method.name}' needs ${names.join(', ')} (${method.availability})`;
  });
  return { problem: lacks.join('; ') };
}
