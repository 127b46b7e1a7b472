import { NS_PER_S } from '../core/units.ts';
import type { Pace } from '../loop/punctuality.ts';

const HURRIED_REPORT_NS = BigInt(NS_PER_S);

/**
 * Which ticks are told of: all of them, while the loop keeps time. When it is pressed, one a second and those in which something
 * went wrong: a report costs both threads time, and control goes before telemetry.
 */
export class ReportGate {
  #lastNs: bigint | null = null;

  passes(pace: Pace, faults: number, nowNs: bigint): boolean {
    const waited = this.#lastNs === null || nowNs - this.#lastNs >= HURRIED_REPORT_NS;
    if (pace !== 'punctual' && faults === 0 && !waited) return false;
    this.#lastNs = nowNs;
    return true;
  }
}
