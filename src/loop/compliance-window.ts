import type { Slo } from '../core/slo.ts';
import { toleratedRatio } from '../core/slo.ts';
import type { Compliance } from '../core/tick-report.ts';

const SLICES = 60;

interface Slice {
  lengthMs: number;
  requests: number;
  overSlo: number;
}

/**
 * Counts requests, and those over the SLO, over the SLO's compliance window, in slices of a sixtieth of it or, where that is
 * longer, of a tick. It reaches back no further than the window, but for a tick that is longer itself.
 */
export class ComplianceWindow {
  readonly #slo: Slo;
  readonly #sliceMs: number;
  readonly #slices: Slice[] = [];

  constructor(slo: Slo) {
    this.#slo = slo;
    this.#sliceMs = slo.windowMs / SLICES;
  }

  add(lengthMs: number, requests: number, overSlo: number): Compliance {
    const newest = this.#slices.at(-1);
    if (newest === undefined || newest.lengthMs >= this.#sliceMs) {
      this.#slices.push({ lengthMs, requests, overSlo });
    } else {
      newest.lengthMs += lengthMs;
      newest.requests += requests;
      newest.overSlo += overSlo;
    }
    while (this.#slices.length > 1 && this.#windowMs > this.#slo.windowMs) this.#slices.shift();
    return this.#sum();
  }

  get #windowMs(): number {
    let windowMs = 0;
    for (const { lengthMs } of this.#slices) windowMs += lengthMs;
    return windowMs;
  }

  #sum(): Compliance {
    let requests = 0;
    let overSlo = 0;
    for (const slice of this.#slices) {
      requests += slice.requests;
      overSlo += slice.overSlo;
    }
    return { windowMs: this.#windowMs, requests, overSlo, met: overSlo <= requests * toleratedRatio(this.#slo) };
  }
}
