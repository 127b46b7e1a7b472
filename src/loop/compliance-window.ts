import type { Slo } from '../core/slo.ts';
import { toleratedRatio } from '../core/slo.ts';
import type { Compliance } from '../core/tick-report.ts';

const SLICES = 60;

interface Slice {
  lengthMs: number;
  requests: number;
  overSlo: number;
}

/** Counts requests, and those over the SLO, over the SLO's compliance window, in sixty slices of it. */
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
      if (this.#slices.length > SLICES) this.#slices.shift();
    } else {
      newest.lengthMs += lengthMs;
      newest.requests += requests;
      newest.overSlo += overSlo;
    }
    return this.#sum();
  }

  #sum(): Compliance {
    let windowMs = 0;
    let requests = 0;
    let overSlo = 0;
    for (const slice of this.#slices) {
      windowMs += slice.lengthMs;
      requests += slice.requests;
      overSlo += slice.overSlo;
    }
    return { windowMs, requests, overSlo, met: overSlo <= requests * toleratedRatio(this.#slo) };
  }
}
