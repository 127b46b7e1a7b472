import type { EnergyReading, PowerMeter, PowerOrigin } from './power-meter.ts';

/** A counter of energy that wraps around. */
export interface EnergyCounter {
  readonly name: string;
  /** The highest value, in µJ, before it begins anew. */
  readonly rangeUj: number;
}

/** A little less than the second in which ticks come together. */
const LOOK_MS = 900;
const UJ_PER_J = 1e6;
/** No package draws this much: a counter that says so has begun anew, as it may in suspend. */
const MOST_PACKAGE_WATTS = 5000;

/** Adds up what the counters of all packages count. */
export class MeasuredPower implements PowerMeter {
  readonly origin: PowerOrigin;
  readonly #counters: readonly EnergyCounter[];
  readonly #readUj: () => readonly number[] | null;
  #before: { readonly atMs: number; readonly uj: readonly number[] } | null = null;
  #energy: EnergyReading | null = null;
  #watts: number | null = null;
  #lookedAtMs = -Infinity;

  /** @param readUj what the counters read now, in their order; null where one does not answer */
  constructor(counters: readonly EnergyCounter[], readUj: () => readonly number[] | null) {
    this.origin = { source: 'measured', zones: counters.map(({ name }) => name) };
    this.#counters = counters;
    this.#readUj = readUj;
  }

  get energy(): EnergyReading | null {
    return this.#energy;
  }

  get watts(): number | null {
    return this.#watts;
  }

  tick(atMs: number, _khz?: ReadonlyMap<string, number>, isNewest = true): void {
    if (!isNewest || atMs - this.#lookedAtMs < LOOK_MS) return;
    this.#lookedAtMs = atMs;
    const uj = this.#readUj();
    if (uj === null) {
      // What is spent meanwhile is counted when they answer again.
      this.#watts = null;
      return;
    }
    const before = this.#before;
    this.#before = { atMs, uj };
    if (before === null) {
      this.#energy = { joules: 0, atMs };
      return;
    }
    const spanS = (atMs - before.atMs) / 1000;
    const spentJ = this.#counters.map(({ rangeUj }, index) => {
      const joules = spentUj(before.uj[index]!, uj[index]!, rangeUj) / UJ_PER_J;
      return joules <= MOST_PACKAGE_WATTS * spanS ? joules : null;
    });
    const joules = spentJ.reduce<number>((sum, each) => sum + (each ?? 0), 0);
    this.#energy = { joules: (this.#energy?.joules ?? 0) + joules, atMs };
    this.#watts = spentJ.includes(null) ? null : joules / spanS;
  }
}

/** What a counter has counted between two readings, which it must not have gone round more than once in. */
export function spentUj(beforeUj: number, nowUj: number, rangeUj: number): number {
  return nowUj >= beforeUj ? nowUj - beforeUj : rangeUj - beforeUj + nowUj;
}
