import { BUCKETS } from '../core/histogram.ts';

/** What bpf/shared.h lays out: the memory that the probes and this process share. Change both together. */
export const MAX_TARGETS = 64;
export const PORTS = 65_536;
/** In port_target: `listeners` tells whose port it is. */
export const PORT_BY_NAMESPACE = 255;

/** `counts[histogram][bucket]` of a stripe, in this order. */
export const HISTOGRAMS = ['latency', 'socketWait', 'handlingTime', 'firstResponse'] as const;

/** `counters[...]` of a stripe, in this order; each has 64 bits. */
export const COUNTERS = [
  'arrivals',
  'abandoned',
  'overSlo',
  'unsolicited',
  'dropped',
  'socketWaitNs',
  'handlingTimeNs',
  'connections',
  'withdrawn',
  'streaming',
  'lost',
  'firstResponseNs',
  'lateArrivals',
] as const;
export type Counter = (typeof COUNTERS)[number];

const COUNTS_WORDS = HISTOGRAMS.length * BUCKETS;

/** struct stripe, in words of 32 bits. */
export const STRIPE = {
  words: COUNTS_WORDS + 2 * COUNTERS.length,
  /** Where a histogram's counts begin. */
  histogram: (index: number): number => index * BUCKETS,
  /** Where the low word of a counter lies, on a little-endian machine. */
  counter: (counter: Counter): number => COUNTS_WORDS + 2 * COUNTERS.indexOf(counter),
} as const;

/** struct target_control: its size and the places of its fields, in bytes. */
export const CONTROL = {
  bytes: 64,
  sloNs: 0,
  waitBudgetNs: 8,
  lateBudget: 16,
  late: 20,
  waitingBudget: 24,
  waiting: 28,
  armed: 32,
} as const;

/** struct walk_result, MAX_TARGETS of turns and then as many of streams: words of 64 bits. */
export const WALK_RESULT = { bytes: 24, oldestArrivalNs: 0, inFlight: 8, connections: 16 } as const;

/** struct secondary_figures: its size and the places of its fields, in words of 64 bits. */
export const SECONDARY = { words: 6, waitedNs: 0, threadNs: 1, gaps: 3, gapSum: 4, gapSquareSum: 5 } as const;
/** GAP_SHIFT: a unit of gaps is so many ns. */
export const GAP_UNIT_NS = 2 ** 8;

/** struct alarm. */
export const ALARM = { bytes: 16, atNs: 0, target: 8, kind: 12 } as const;

/** enum alarm_kind. */
export const ALARM_BITS = { late: 1, waiting: 2, 'arrival-after-idle': 4 } as const;

/** struct reader_key. */
export const READER_KEY = { target: 0, tgid: 4 } as const;

/** struct turn_record. */
export const TURN_RECORD = {
  bytes: 40,
  connection: 0,
  arrivalNs: 8,
  readNs: 16,
  sentNs: 24,
  target: 32,
  flags: 36,
} as const;

/** enum turn_flags. */
export const TURN_FLAGS = { cutShort: 1, continues: 2 } as const;
