import type { Snapshot } from '../../core/sensor.ts';
import type { Slo } from '../../core/slo.ts';
import type { ServerModel } from '../../plant/server-model.ts';
import type { ServiceModel } from '../../plant/service-model.ts';

/** What a baseline is told before it starts. */
export interface BaselineFacts {
  readonly server: ServerModel;
  readonly service: ServiceModel;
  readonly slo: Slo;
  readonly lowestKhz: number;
  readonly highestKhz: number;
}

/**
 * What a baseline may look at: more than a controller may, for the published schemes that it stands for sit in the kernel or in
 * the application. Cores go by their index. Times in simulated ns.
 */
export interface PlantView {
  readonly nowNs: number;
  /** Since the look before. */
  readonly elapsedNs: number;
  /** Since the start. */
  busyNs(core: number): number;
  /** In force now. */
  frequencyKhz(core: number): number;
  /** Arrival of the request that the core serves; Infinity while it is idle. */
  servingArrivalNs(core: number): number;
  /** When it began to serve it. */
  servingStartNs(core: number): number;
  /** Requests that wait for the core, or for any core where the queue is central, oldest first. */
  waiting(core: number): number;
  waitingArrivalNs(core: number, position: number): number;
  /** The sensor's window of about 100 ms where one has just ended, else null. */
  readonly snapshot: Snapshot | null;
}

/** Frequencies that are wanted, by core. The machine takes its next step up, and the highest of a frequency domain. */
export type WantedKhz = (core: number) => number;

/**
 * A published rule that policies are compared with, in simulation only: no clock, file, log or randomness of its own. What it
 * remembers lives in the closure that `start` makes.
 */
export interface Baseline {
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** Where the rule comes from, and what of it is reconstructed. For humans. */
  readonly source: string;
  /** Between two looks. */
  intervalNs(facts: BaselineFacts): number;
  start(facts: BaselineFacts): (view: PlantView) => WantedKhz;
}
