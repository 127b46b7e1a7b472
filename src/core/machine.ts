import type { CpuId, KiloHertz } from './units.ts';

/** CPUs whose clocks move together. */
export interface FrequencyDomain {
  /** The cpufreq policy that speaks for the domain, such as `policy0`. */
  readonly id: string;
  readonly cpus: readonly CpuId[];
  /** The hardware's range. */
  readonly minKhz: KiloHertz;
  readonly maxKhz: KiloHertz;
  /** The operator's range at the time we came: we never leave it. */
  readonly allowedMinKhz: KiloHertz;
  readonly allowedMaxKhz: KiloHertz;
  /** Ascending; null where any frequency of the range can be asked for. */
  readonly stepsKhz: readonly KiloHertz[] | null;
}

/** Where an online CPU is. */
export interface CpuPlace {
  readonly cpu: CpuId;
  /** CPUs with the same number are hardware threads of one core: its lowest CPU, also where that one is offline. */
  readonly core: number;
  /** NUMA node and package (socket); 0 where the machine does not say. */
  readonly node: number;
  readonly package: number;
}

/** What of this machine can be governed. */
export interface Machine {
  readonly cpus: readonly CpuId[];
  readonly domains: readonly FrequencyDomain[];
  /** One a CPU. Absent: each CPU is a core of its own, and all are in one package. */
  readonly places?: readonly CpuPlace[];
}

/** The frequencies, and the CPUs of each service, that levels become on this machine. */
export interface OperatingPoint {
  /** By domain id. */
  readonly frequencyKhz: Readonly<Record<string, KiloHertz>>;
  /** By service name; a service that is absent keeps every CPU that it has. */
  readonly cpus: Readonly<Record<string, readonly CpuId[]>>;
}
