/** Where a service runs: what its CPUs are set on. */
export interface ServicePlace {
  /** A unit of systemd, such as `nginx.service`, where the config names one. */
  readonly unit?: string;
  /** A control group's path below the root of its hierarchy, such as `/batch/web`, where the config names one. */
  readonly cgroup?: string;
  /** Its processes at present. */
  readonly pids: readonly number[];
}

/** Looks up where each service runs, by name. Takes time for each process on the machine. */
export type LocateServices = () => ReadonlyMap<string, ServicePlace>;
