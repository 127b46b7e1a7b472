import type { Health } from './sensor.ts';
import type { Slo } from './slo.ts';

/** A share of full capacity, 0..1: Σ frequency of granted CPUs ÷ Σ maximum. */
export type Level = number;

/** What a controller may know of its service: the sensor's windows, gathered until they carry weight. */
export interface Observation {
  readonly health: Health;
  /** True when the kernel's alarm woke the loop for this service since the last step. */
  readonly alarmed: boolean;
  /** The gathered window: lengthened at low rates until it holds enough requests, up to a limit. */
  readonly windowMs: number;
  readonly requests: number;
  readonly overSlo: number;
  /** Latency at the SLO's quantile over the gathered window, and its median; null when nothing completed in it. */
  readonly quantileNs: number | null;
  readonly medianNs: number | null;
  /** Means over the gathered window; null when nothing completed in it. */
  readonly socketWaitNs: number | null;
  readonly handlingTimeNs: number | null;
  /** Handling time at the SLO's quantile over the gathered window; null when nothing completed in it. */
  readonly handlingQuantileNs: number | null;
  /** How much handling times vary over the gathered window: `Histogram.variability`; null when nothing completed in it. */
  readonly handlingVariability: number | null;
  /** Since the last step alone: what a burst shows first. */
  readonly latest: {
    readonly windowMs: number;
    readonly arrivals: number;
    readonly requests: number;
    readonly overSlo: number;
    readonly quantileNs: number | null;
  };
  readonly inFlight: number;
  readonly oldestInFlightNs: number;
  /** Requests completed a second, over the gathered window. */
  readonly throughputRps: number;
  /** How near the service is to saturation at its present speed: the busy share (0..1) of its busiest thread; null: not known. */
  readonly utilization: number | null;
  /** CPU time a request, in ns, at the present speed; null where not known. */
  readonly demandNs: number | null;
}

export interface ControllerInput {
  readonly slo: Slo;
  readonly observation: Observation;
  /** Since the previous step. */
  readonly elapsedMs: number;
  /** The level that the machine is really at: what the actuator made of the last one asked. */
  readonly appliedLevel: Level;
  readonly limits: { readonly min: Level; readonly max: Level };
}

export interface ControllerOutput<State> {
  readonly level: Level;
  readonly state: State;
  /** A short sentence for humans: `p99 7.2 ms over 5.0 ms: up`. */
  readonly reason: string;
  /** To be asked again after so long, in ms, if that is before the next interval: what it has just decided is for a moment. */
  readonly againMs?: number;
  /**
   * Until a request arrives the answer stays this one: the loop may rest, and looks less often. Absent: the law wants to be asked
   * at every interval.
   */
  readonly rests?: true;
}

/** No controller is asked again sooner, in ms, but for an alarm: looking takes time, too. */
export const SOONEST_AGAIN_MS = 10;

/** A control law: pure, without clock, file, log or randomness. */
export interface Controller<State = unknown> {
  readonly name: string;
  /** The state to start from when the machine is at `level`: also how a swapped-in policy takes over without a bump. */
  initial(level: Level): State;
  step(input: ControllerInput, state: State): ControllerOutput<State>;
}
