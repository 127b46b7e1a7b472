import type { Level } from './controller.ts';
import type { Machine, OperatingPoint } from './machine.ts';
import type { KiloHertz } from './units.ts';

/** What one service asks of the machine. */
export interface LevelRequest {
  readonly service: string;
  readonly level: Level;
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
  plan(requests: readonly LevelRequest[]): Plan;
  /** The level that a point which was really applied is worth to a service. */
  levelOf(point: OperatingPoint, service: string): Level;
  /** Full speed: what pause, stall and errors ask for. */
  readonly full: OperatingPoint;
}
