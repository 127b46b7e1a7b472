import type { Machine, OperatingPoint } from './machine.ts';
import type { CpuId, KiloHertz } from './units.ts';

/**
 * `unchanged`: nothing had to be written. `clamped`: the kernel made something else of it. `refused`: it stands as it was.
 * `yielded`: somebody else writes the control, who was let have it.
 */
export type WriteOutcome = 'applied' | 'unchanged' | 'clamped' | 'refused' | 'yielded';

export interface AppliedFrequency {
  readonly domain: string;
  readonly askedKhz: KiloHertz;
  /** What the kernel reads back; null when it cannot be read (an offline CPU). */
  readonly appliedKhz: KiloHertz | null;
  readonly outcome: WriteOutcome;
  /** For `clamped`, `refused` and `yielded`: what happened, for humans. */
  readonly detail?: string;
}

/** The CPUs of one service. */
export interface AppliedCpus {
  readonly service: string;
  /** How they are set, such as `cgroup2`; null where nothing could be found to set. */
  readonly method: string | null;
  readonly askedCpus: readonly CpuId[];
  /** Those that it may run on now; null where that is not known, which means that it keeps what it has. */
  readonly appliedCpus: readonly CpuId[] | null;
  readonly outcome: WriteOutcome;
  /** For `clamped`, `refused` and `yielded`: what happened, for humans. */
  readonly detail?: string;
}

/**
 * Why a machine is not as it was asked to be. `foreign-writer`: somebody else writes a control that is governed. `limit`: the
 * firmware, heat or a switch of the operator allows less. `failure`: the kernel refuses a control. `machine`: a CPU or a
 * driver has come or gone.
 */
export type DisturbanceKind = 'foreign-writer' | 'limit' | 'failure' | 'machine';

/** Something that lasts; it is reported for as long as it does. */
export interface Disturbance {
  readonly kind: DisturbanceKind;
  /** The file's path below the sysfs root, or a frequency policy. */
  readonly control: string;
  /** For humans: what was written, what reads, who it may be. */
  readonly detail: string;
}

export interface Applied {
  readonly point: OperatingPoint;
  readonly frequencies: readonly AppliedFrequency[];
  /** Of the services whose CPUs the point names; absent where CPUs are not governed. */
  readonly cpus?: readonly AppliedCpus[];
  /** Writes that reached the kernel in this application. */
  readonly writes: number;
  /** What disturbs at present; absent where nothing can, as in simulation. */
  readonly disturbances?: readonly Disturbance[];
  /** How often each kind has happened since `engage`. */
  readonly disturbanceCounts?: Readonly<Record<DisturbanceKind, number>>;
}

/** What became of one control when its original was put back. */
export interface RestoredControl {
  readonly control: string;
  readonly outcome: 'restored' | 'already' | 'failed' | 'gone';
  readonly detail?: string;
}

export type OnExit = 'original' | 'max' | 'leave';

export interface Actuator {
  /** What can be governed at present: another object once a CPU or a driver has come or gone. */
  readonly machine: Machine;
  /** How frequencies are set here, such as `cap`. */
  readonly method: string;
  /** Writes the journal, then takes the controls over (the governor is part of the method). @throws ActuatorError */
  engage(): void;
  /** Never throws for a refused write: the outcome says so. The very same object while nothing has changed. */
  apply(point: OperatingPoint): Applied;
  /** Puts the controls back, one by one, and clears the journal when all are. */
  release(onExit: OnExit): readonly RestoredControl[];
}
