import { Histogram } from '../../core/histogram.ts';
import type { Slo } from '../../core/slo.ts';
import type { DaemonTotals, ServiceTotals } from '../../telemetry/daemon-totals.ts';
import type { PowerOrigin } from '../../telemetry/power-meter.ts';

/** What a block runs under. */
export type Arm = 'governed' | 'full';

/** What was seen in one block, after its warm-up. */
export interface Block {
  readonly arm: Arm;
  readonly seconds: number;
  /** null where it is not known. */
  readonly power: { readonly origin: PowerOrigin; readonly watts: number } | null;
  readonly services: readonly ServiceBlock[];
}

export interface ServiceBlock {
  readonly service: string;
  readonly slo: Slo;
  readonly requests: number;
  readonly overSlo: number;
  readonly latency: Histogram;
}

/** The difference of the sums at a block's end and after its warm-up, of the services that are in both. */
export function blockBetween(arm: Arm, before: DaemonTotals, after: DaemonTotals): Block {
  return {
    arm,
    seconds: ((after.atMs ?? 0) - (before.atMs ?? 0)) / 1000,
    power: powerBetween(before.energy, after.energy),
    services: after.services.flatMap((last): ServiceBlock | readonly never[] => {
      const first = before.services.find(({ service }) => service === last.service);
      return first === undefined ? [] : serviceBetween(first, last);
    }),
  };
}

function powerBetween(before: DaemonTotals['energy'], after: DaemonTotals['energy']): Block['power'] {
  if (before === null || after === null || after.atMs <= before.atMs) return null;
  const watts = (after.joules - before.joules) / ((after.atMs - before.atMs) / 1000);
  return { origin: after.origin, watts };
}

function serviceBetween(before: ServiceTotals, after: ServiceTotals): ServiceBlock {
  const latency = histogramOf(after);
  latency.subtract(histogramOf(before));
  return {
    service: after.service,
    slo: after.slo,
    requests: after.requests - before.requests,
    overSlo: after.overSlo - before.overSlo,
    latency,
  };
}

function histogramOf({ latency }: ServiceTotals): Histogram {
  const histogram = new Histogram();
  histogram.addInUse(latency.inUse, latency.sumNs);
  return histogram;
}
