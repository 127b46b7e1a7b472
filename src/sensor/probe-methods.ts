import type { SensorMethod } from '../core/sensor.ts';

/** Of sockets that a target may be besides those of TCP. */
export type SocketKind = 'udp' | 'unix';
export const SOCKET_KINDS: Readonly<Record<SocketKind, string>> = { udp: 'UDP', unix: 'Unix-domain sockets' };

/** What a BPF program is attached to. */
export interface Probe {
  readonly program: string;
  readonly kind: 'tracepoint' | 'function';
  /** Its name in the kernel's type information. */
  readonly at: string;
  /** Not every kernel that the method is for has it: where it is missing, what it would see does not happen. */
  readonly optional?: true;
  /** Loaded where a target is of this kind, and not elsewhere; always where not given. */
  readonly of?: SocketKind;
}

/** A BPF program that is run for each of many things, to find those in flight. */
export interface Walk {
  readonly program: string;
  /** The map whose elements it goes over; absent where it goes over things of the kernel's own. */
  readonly map?: string;
  /** As of a probe. */
  readonly of?: SocketKind;
}

/** A way to hear of arrivals, reads, sends and closings. */
export interface ProbeMethod {
  readonly name: Extract<SensorMethod, 'tracepoint' | 'fentry' | 'syscall'>;
  readonly objectName: string;
  /** In words, for who lacks it. */
  readonly availability: string;
  readonly probes: readonly Probe[];
  /** Which together find all that is in flight. */
  readonly walks: readonly Walk[];
}

const STATE_CHANGED = { program: 'state_changed', kind: 'tracepoint', at: 'inet_sock_set_state' } as const;
/** The way of sendfile up to Linux 6.4, which no tracepoint sees. */
export const PAGE_SENT = { program: 'page_sent', kind: 'function', at: 'inet_sendpage', optional: true } as const;

/** The same of Unix-domain sockets. */
const UNIX_PAGE_SENT: Probe = {
  ...{ program: 'unix_page_sent', kind: 'function', at: 'unix_stream_sendpage' },
  ...{ optional: true, of: 'unix' },
};
/** Of packets, whatever the method: these are as old as the way to attach to them. */
const DATAGRAMS: readonly Probe[] = [
  { program: 'datagram_arrived', kind: 'tracepoint', at: 'netif_receive_skb', of: 'udp' },
  { program: 'datagram_read', kind: 'tracepoint', at: 'skb_copy_datagram_iovec', of: 'udp' },
  { program: 'datagram_sent', kind: 'tracepoint', at: 'net_dev_queue', of: 'udp' },
];

const DATAGRAM_WALK: Walk = { program: 'walk_datagrams', map: 'udp_peers', of: 'udp' };
const SOCKET_WALKS: readonly Walk[] = [{ program: 'walk_connections', map: 'connections' }, DATAGRAM_WALK];

/** Best first. bpf/*.bpf.c has the programs. */
export const PROBE_METHODS: readonly ProbeMethod[] = [
  {
    name: 'tracepoint',
    objectName: 'turns.bpf.o',
    walks: SOCKET_WALKS,
    availability: 'Linux 6.3 or later',
    probes: [
      { program: 'data_ready', kind: 'tracepoint', at: 'sk_data_ready' },
      { program: 'read_returned', kind: 'tracepoint', at: 'sock_recv_length' },
      { program: 'send_returned', kind: 'tracepoint', at: 'sock_send_length' },
      PAGE_SENT,
      STATE_CHANGED,
      UNIX_PAGE_SENT,
      ...DATAGRAMS,
    ],
  },
  {
    name: 'fentry',
    objectName: 'turns-fentry.bpf.o',
    walks: SOCKET_WALKS,
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
      { program: 'unix_read_returned', kind: 'function', at: 'unix_stream_recvmsg', of: 'unix' },
      { program: 'unix_send_returned', kind: 'function', at: 'unix_stream_sendmsg', of: 'unix' },
      UNIX_PAGE_SENT,
      ...DATAGRAMS,
    ],
  },
  {
    name: 'syscall',
    objectName: 'turns-syscall.bpf.o',
    walks: [
      { program: 'walk_connections', map: 'pairings' },
      { program: 'walk_unix_connections', of: 'unix' },
      DATAGRAM_WALK,
    ],
    availability: 'Linux 5.12 or later, on x86-64 and arm64',
    probes: [{ program: 'call_returned', kind: 'tracepoint', at: 'sys_exit' }, STATE_CHANGED, ...DATAGRAMS],
  },
];

/** `auto`: the best one that the kernel offers. */
export const METHOD_CHOICES = ['auto', 'tracepoint', 'fentry', 'syscall'] as const;
export type MethodChoice = (typeof METHOD_CHOICES)[number];

/** Whether the kernel has what a probe is attached to. */
export type HasProbe = (probe: Probe) => boolean;

/** Those of a method's programs that it takes for targets of these kinds, besides those of TCP. */
export const wantedFor = <Program extends Probe | Walk>(
  kinds: readonly SocketKind[],
  programs: readonly Program[],
): readonly Program[] => programs.filter(({ of }) => of === undefined || kinds.includes(of));

/** @returns the probes that a kernel lacks and the method cannot do without for targets of these kinds */
const missingProbes = (method: ProbeMethod, has: HasProbe, kinds: readonly SocketKind[]): readonly Probe[] =>
  wantedFor(kinds, method.probes).filter((probe) => probe.optional !== true && !has(probe));

/**
 * @param kinds of targets, besides those of TCP
 * @returns the method to use, or why none of those that may be used can be
 */
export function chooseMethod(
  choice: MethodChoice,
  has: HasProbe,
  kinds: readonly SocketKind[] = [],
): ProbeMethod | { readonly problem: string } {
  const candidates = PROBE_METHODS.filter(({ name }) => choice === 'auto' || name === choice);
  const usable = candidates.find((method) => missingProbes(method, has, kinds).length === 0);
  if (usable !== undefined) return usable;
  const lacks = candidates.map((method) => {
    const names = missingProbes(method, has, kinds).map(nameOf);
    return `method '${method.name}' needs ${names.join(', ')} (${method.availability})`;
  });
  return { problem: lacks.join('; ') };
}

const nameOf = ({ kind, at, of }: Probe): string =>
  `${kind} ${at}${of === undefined ? '' : ` for ${SOCKET_KINDS[of]}`}`;
