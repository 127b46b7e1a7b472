import type { Machine, OperatingPoint } from './machine.ts';
import type { KiloHertz } from './units.ts';

/** `unchanged`: nothing had to be written. `clamped`: the kernel made something else of it. `refused`: it stands as it was. */
export type WriteOutcome = 'applied' | 'unchanged' | 'clamped' | 'refused';

export interface AppliedFrequency {
  readonly domain: string;
  readonly askedKhz: KiloHertz;
  /** What the kernel reads back; null when it cannot be read (an offline CPU). */
  readonly appliedKhz: KiloHertz | null;
  readonly outcome: WriteOutcome;
  /** For `clamped` and `refused`: what happened, for humans. */
  readonly detail?: string;
}

export interface Applied {
  readonly point: OperatingPoint;
  readonly frequencies: readonly AppliedFrequency[];
  /** Writes that reached the kernel in this application. */
  readonly writes: number;
}

/** What became of one control when its original was put back. */
export interface RestoredControl {
  readonly control: string;
  readonly outcome: 'restored' | 'already' | 'failed' | 'gone';
  readonly detail?: string;
}

export type OnExit = 'original' | 'max' | 'leave';

export interface Actuator {
  readonly machine: Machine;
  /** How frequencies are set here, such as `cap`. */
  readonly method: string;
  /** Writes the journal, then takes the controls over (the governor is part of the method). @throws ActuatorError */
  engage(): void;
  /** Never throws for a refused write: the outcome says so. */
  apply(point: OperatingPoint): Applied;
  /** Puts the controls back, one by one, and clears the journal when all are. */
  release(onExit: OnExit): readonly RestoredControl[];
}
