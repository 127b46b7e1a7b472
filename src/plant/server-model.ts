import type { Machine } from '../core/machine.ts';
import type { PowerModel } from '../core/power-model.ts';
import { type CpuId, type KiloHertz, cpuId } from '../core/units.ts';

/** What a core falls into when it has nothing to do. */
export interface IdleState {
  /** As the kernel's cpuidle calls it: `C1E`. */
  readonly name: string;
  /** A core that has been idle so long is in this state. */
  readonly afterNs: number;
  /** From the arrival of work to its first instruction. */
  readonly wakeNs: number;
  /** Of one core, while it stays there. */
  readonly watts: number;
}

/** The hardware that a simulation runs on: one CPU of the machine is one physical core. */
export interface ServerModel {
  readonly machine: Machine;
  readonly power: PowerModel;
  /** Ascending in `afterNs`, the first 0. Empty: idle cores draw what the power model says and wake at once. */
  readonly idleStates: readonly IdleState[];
  /** From asking for a frequency to running at it; until then the core runs on at the old one. */
  readonly transitionLatencyNs: number;
}

/** The idle states, never none: @see ServerModel.idleStates */
export function idleStatesOf(server: ServerModel): readonly IdleState[] {
  if (server.idleStates.length > 0) return server.idleStates;
  return [{ name: 'idle', afterNs: 0, wakeNs: 0, watts: server.power.idleCoreWatts }];
}

/** The same server with its deep idle states switched off, as operators of latency-critical services do. */
export function withoutDeepIdle(server: ServerModel, longestWakeNs: number): ServerModel {
  return { ...server, idleStates: server.idleStates.filter(({ wakeNs }) => wakeNs <= longestWakeNs) };
}

/** Which cores change frequency together. */
export type DomainShape = 'core' | 'package';

/**
 * A machine of `cores` alike, its whole range allowed.
 *
 * @param stepsKhz ascending; null where any frequency of the range can be had
 */
export function uniformMachine(
  cores: number,
  range: { readonly minKhz: KiloHertz; readonly maxKhz: KiloHertz; readonly stepsKhz: readonly KiloHertz[] | null },
  shape: DomainShape,
): Machine {
  const cpus = Array.from({ length: cores }, (_, core) => cpuId(core));
  const domainOf = (first: number, members: readonly CpuId[]) => ({
    id: `policy${first}`,
    cpus: members,
    ...range,
    allowedMinKhz: range.minKhz,
    allowedMaxKhz: range.maxKhz,
  });
  return { cpus, domains: shape === 'package' ? [domainOf(0, cpus)] : cpus.map((cpu) => domainOf(cpu, [cpu])) };
}
