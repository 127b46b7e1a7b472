/** Time as the rooms may see it. The simulator substitutes it; nothing else in the project reads a clock. */
export interface Clock {
  /** CLOCK_MONOTONIC, the clock of the kernel's bpf_ktime_get_ns. Intervals come from here. */
  monotonicNs(): bigint;
  /** Milliseconds since the epoch. Schedules and log lines come from here. */
  wallMs(): number;
}

/** The machine's own clocks. */
export const systemClock: Clock = {
  monotonicNs: () => process.hrtime.bigint(),
  wallMs: () => Date.now(),
};
