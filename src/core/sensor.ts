import type { Histogram } from './histogram.ts';

export type SensorMethod = 'tracepoint' | 'fentry' | 'syscall' | 'simulated';
/** What one count of `requests` is; see the vocabulary in docs/architecture.md. `connection`: from accept to close. */
export type RequestUnit = 'turn' | 'stream' | 'connection';

/**
 * How a target's requests are told apart: `auto` takes HTTP/2 connections by stream, where the kernel can, and all others by
 * turn. `udp`: datagrams to plain ports, each a request that the next datagram to its sender answers; the others are of
 * connections.
 */
export const PROTOCOLS = ['auto', 'turns', 'http2', 'udp'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/**
 * What the sensor knows of a target's state. `idle`: nothing arrives, nothing is in flight (healthy). `stall`: requests
 * are in flight and none completes. `silence`: the sensor itself is stale or has failed.
 */
export type Health = 'active' | 'idle' | 'stall' | 'silence';

/** What was seen of one target in one window: from the previous read to this one. Counts are of the window. */
export interface Snapshot {
  readonly target: string;
  readonly method: SensorMethod;
  readonly unit: RequestUnit;
  /** CLOCK_MONOTONIC at the read, and the length of the window. */
  readonly atNs: bigint;
  readonly windowNs: number;
  readonly health: Health;
  /** Requests whose first byte arrived, whose reply was sent, that were over the SLO's bound, whose socket closed first. */
  readonly arrivals: number;
  readonly requests: number;
  readonly overSlo: number;
  readonly abandoned: number;
  /** Sends that answer nothing: pushes, close_notify. They touch no latency. */
  readonly unsolicited: number;
  /** Events that could not be accounted: no memory for a connection's state. */
  readonly dropped: number;
  /** At the read: arrived and not completed, and the age of the oldest of them (0 when none). */
  readonly inFlight: number;
  readonly oldestInFlightNs: number;
  /** latency = socketWait + handlingTime, request by request. */
  readonly latency: Histogram;
  readonly socketWait: Histogram;
  readonly handlingTime: Histogram;
  /** CPU time of the target's processes in the window, in ns; null where it is not known. */
  readonly cpuTimeNs: number | null;
  /**
   * Busy share (0..1) of the target's busiest thread over the last look (about a second): how near the service is to
   * saturation, whatever number of threads it has. Null where it is not known.
   */
  readonly busiestThreadRatio: number | null;
  /** Where connections of the target speak HTTP/2, or are said to. */
  readonly http2?: Http2Figures;
  /** Where it was asked for, but for urgent reads: the next one tells of the time since the last that had it. */
  readonly secondary?: SecondarySignals;
}

/** Requests of one unit: counts of a window, what is in flight at its end, and times. */
export type UnitFigures = Pick<
  Snapshot,
  | 'unit'
  | 'arrivals'
  | 'requests'
  | 'overSlo'
  | 'abandoned'
  | 'unsolicited'
  | 'dropped'
  | 'inFlight'
  | 'oldestInFlightNs'
  | 'latency'
  | 'socketWait'
  | 'handlingTime'
>;

/**
 * A target may have connections that are counted by stream and others that are counted by turn. The two are never added up:
 * the snapshot's own figures are those of the unit that had more requests in the window, and these are the others.
 */
export interface Http2Figures {
  /** Connections that were begun to be counted by turn and by stream, and those of the latter that had to go over to turns. */
  readonly turnConnections: number;
  readonly streamConnections: number;
  readonly lostConnections: number;
  /** Streams that turned out to be a conversation or a subscription: they count as arrivals, and in no figure of latency. */
  readonly streaming: number;
  /** From a stream's arrival to the first HEADERS of its response, streaming or not. */
  readonly firstResponse: Histogram;
  readonly otherUnit: UnitFigures;
}

/** What hints at saturation without being a latency. Sums, so that windows add up; secondary-signals.ts makes ratios of them. */
export interface SecondarySignals {
  /** Of the threads that read from the target's connections: how long they were there in the window, all together. */
  readonly threadNs: number;
  /** How much of that they waited for work in epoll_wait, poll or select. */
  readonly waitedNs: number;
  /** From each send to the target's connections to the next one, on whichever connection: how many, and the sums. */
  readonly gaps: number;
  readonly gapSumNs: number;
  readonly gapSquareSumNs2: number;
}

export const ALARM_KINDS = ['late', 'waiting', 'arrival-after-idle'] as const;
/** Why the kernel woke us before the tick. */
export type AlarmKind = (typeof ALARM_KINDS)[number];

export interface Alarm {
  readonly target: string;
  readonly kind: AlarmKind;
  readonly atNs: bigint;
}

/** The kernel's wake-up: `fd` becomes readable when an alarm waits; `drain` takes what waits. */
export interface AlarmSource {
  readonly fd: number;
  drain(): readonly Alarm[];
  /** None of the kind is raised before the next read that is not urgent. */
  disarm(target: string, kind: AlarmKind): void;
}

export interface Sensor {
  readonly method: SensorMethod;
  readonly unit: RequestUnit;
  /**
   * One snapshot a target, in the order in which the targets were given. Costs no system call a request.
   * @param urgent leaves out what can wait for the next read: looks at processes, which take time for each thread, and alarms
   * anew, so that each kind comes once at most from one read that is not urgent to the next
   * @param rearm of an urgent read: `waiting` may come once more before the next
   */
  read(urgent?: boolean, rearm?: boolean): readonly Snapshot[];
  /** Absent where nothing can wake us, as in simulation. */
  readonly alarms?: AlarmSource;
  close(): void;
}
