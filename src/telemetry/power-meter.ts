/** Where a figure of power comes from: counters of the hardware, or a model, whose figure is no measurement. */
export type PowerOrigin =
  /** The packages whose counters were read, such as `package-0`. */
  | { readonly source: 'measured'; readonly zones: readonly string[] }
  /** The CPU that is modelled. */
  | { readonly source: 'modelled'; readonly model: string };

/** Energy since the start, as of the last look; the time goes with it, so that a difference of two is a mean power. */
export interface EnergyReading {
  readonly joules: number;
  /** CLOCK_MONOTONIC. */
  readonly atMs: number;
}

export interface PowerMeter {
  readonly origin: PowerOrigin;
  /** null before the first look. */
  readonly energy: EnergyReading | null;
  /** In W: mean over the last look, about a second; null before the first, and while it cannot be told. */
  readonly watts: number | null;
  /**
   * @param atMs CLOCK_MONOTONIC
   * @param khz what holds from then on, by frequency domain
   * @param isNewest false where a later tick is known already: what is read now does not belong to this one
   */
  tick(atMs: number, khz: ReadonlyMap<string, number>, isNewest?: boolean): void;
}

/** For humans: `measured (package-0, package-1)`, `modelled (Intel Core i7-1165G7)`. */
export function describeOrigin(origin: PowerOrigin): string {
  return `${origin.source} (${origin.source === 'measured' ? origin.zones.join(', ') : origin.model})`;
}
