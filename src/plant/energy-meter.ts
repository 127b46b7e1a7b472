import { busyCoreWatts } from '../core/power-model.ts';
import { NS_PER_S } from '../core/units.ts';
import { type ServerModel, idleStatesOf } from './server-model.ts';

/** Idle states as columns, for what runs at every request. */
export interface IdleCurve {
  /** By idle state: the age at which it begins, what it takes to wake, what it draws, and the W · ns of an idle period before it. */
  readonly afterNs: Float64Array;
  readonly wakeNs: Float64Array;
  readonly watts: Float64Array;
  readonly energyBefore: Float64Array;
}

export function idleCurveOf(server: ServerModel): IdleCurve {
  const states = idleStatesOf(server);
  const energyBefore = new Float64Array(states.length);
  for (let state = 1; state < states.length; state++) {
    const { afterNs, watts } = states[state - 1]!;
    energyBefore[state] = energyBefore[state - 1]! + watts * (states[state]!.afterNs - afterNs);
  }
  return {
    afterNs: Float64Array.from(states, ({ afterNs }) => afterNs),
    wakeNs: Float64Array.from(states, ({ wakeNs }) => wakeNs),
    watts: Float64Array.from(states, ({ watts }) => watts),
    energyBefore,
  };
}

/**
 * Integrates the package's power exactly: between two changes of a core's state its power is constant, or, while it idles,
 * constant between the ages at which it falls deeper. Nothing is sampled.
 */
export class EnergyMeter {
  declare private readonly server: ServerModel;
  declare private readonly clock: Float64Array;
  /** By idle state, as in IdleCurve. */
  declare private readonly afterNs: Float64Array;
  declare private readonly idleWatts: Float64Array;
  declare private readonly energyBefore: Float64Array;
  /** Of the package without its simulated cores. */
  declare private readonly baseWatts: number;
  declare private readonly busyWatts: Float64Array;
  /** W · ns by core, up to #accountedNs. */
  declare private readonly energy: Float64Array;
  declare private readonly accountedNs: Float64Array;
  /** When the core fell idle; −1 while it is busy. */
  declare private readonly idleSinceNs: Float64Array;

  /** @param clock simulated time in its only element */
  constructor(server: ServerModel, clock: Float64Array) {
    const cores = server.machine.cpus.length;
    const { power } = server;
    this.server = server;
    this.clock = clock;
    const { afterNs, watts, energyBefore } = idleCurveOf(server);
    this.afterNs = afterNs;
    this.idleWatts = watts;
    this.energyBefore = energyBefore;
    this.baseWatts = power.staticWatts + Math.max(0, power.coreCount - cores) * power.idleCoreWatts;
    this.busyWatts = new Float64Array(cores);
    this.energy = new Float64Array(cores);
    this.accountedNs = new Float64Array(cores);
    this.idleSinceNs = new Float64Array(cores);
  }

  setFrequency(core: number, frequencyKhz: number): void {
    this.account(core);
    this.busyWatts[core] = busyCoreWatts(this.server.power, frequencyKhz);
  }

  /** The core begins to wake: it draws what a busy one does. @returns the index of the idle state that it was in */
  wake(core: number): number {
    this.account(core);
    const idleNs = this.clock[0]! - this.idleSinceNs[core]!;
    this.idleSinceNs[core] = -1;
    let state = this.afterNs.length - 1;
    while (state > 0 && this.afterNs[state]! > idleNs) state--;
    return state;
  }

  sleep(core: number): void {
    this.account(core);
    this.idleSinceNs[core] = this.clock[0]!;
  }

  /** Of the package, since the start of the simulation. */
  get joules(): number {
    let energy = this.baseWatts * this.clock[0]!;
    for (let core = 0; core < this.energy.length; core++) {
      this.account(core);
      energy += this.energy[core]!;
    }
    return energy / NS_PER_S;
  }

  private account(core: number): void {
    const nowNs = this.clock[0]!;
    const fromNs = this.accountedNs[core]!;
    const idleSinceNs = this.idleSinceNs[core]!;
    if (idleSinceNs < 0) this.energy[core]! += this.busyWatts[core]! * (nowNs - fromNs);
    else this.energy[core]! += this.idleEnergy(nowNs - idleSinceNs) - this.idleEnergy(fromNs - idleSinceNs);
    this.accountedNs[core] = nowNs;
  }

  /** W · ns of the first `ageNs` of an idle period. */
  private idleEnergy(ageNs: number): number {
    const { afterNs, energyBefore, idleWatts } = this;
    let state = afterNs.length - 1;
    while (state > 0 && afterNs[state]! > ageNs) state--;
    return energyBefore[state]! + idleWatts[state]! * (ageNs - afterNs[state]!);
  }
}
