import type { Level } from './controller.ts';
import type { Machine, OperatingPoint } from './machine.ts';
import type { KiloHertz } from './units.ts';

/** What one service asks of the machine. */
export interface LevelRequest {
  readonly service: string;
  readonly level: Level;
  /** The share of its full capacity that the service's work takes at present, 0..1; null or absent where not known. */
  readonly loadRatio?: number | null;
}

/**
 * How a level becomes an operating point. `frequency`: all CPUs, slower. `cores`: fewer CPUs at full speed. `pack`: fewer CPUs
 * and slower, by what is modelled to draw least at the present load; without a power model, the fewest CPUs first.
 */
export type PlanStrategy = 'frequency' | 'cores' | 'pack';

/** The CPUs that a service may be given. */
export interface CoreLimits {
  readonly service: string;
  /** Never fewer CPUs, at least 1. */
  readonly minCpus: number;
  /** Never these CPUs. */
  readonly reserved: readonly number[];
}

/** What the config allows. */
export interface PlanLimits {
  readonly minKhz?: KiloHertz;
  readonly maxKhz?: KiloHertz;
}

export interface Plan {
  readonly point: OperatingPoint;
  /** By service: the level that the point really gives it. */
  readonly levels: Readonly<Record<string, Level>>;
}

/** Level → operating point, and back: a planner knows one machine. */
export interface Planner {
  readonly machine: Machine;
  /** @param from the point that the machine is at: a plan moves as few CPUs as possible. Absent: any */
  plan(requests: readonly LevelRequest[], from?: OperatingPoint): Plan;
  /** The level that a point which was really applied is worth to a service. */
  levelOf(point: OperatingPoint, service: string): Level;
  /** Full speed: what pause, stall and errors ask for. */
  readonly full: OperatingPoint;
}
