import { Histogram } from '../../core/histogram.ts';
import { formatNs, formatPercent, NS_PER_MS } from '../../core/units.ts';
import { describeOrigin, type PowerOrigin } from '../../telemetry/power-meter.ts';
import { textTable } from '../../telemetry/terminal-text.ts';
import { estimateMean, type MeanEstimate, withInterval } from '../sweep/confidence.ts';
import type { Arm, Block, ServiceBlock } from './block.ts';
import type { Measurement } from './measure-savings.ts';

/** A figure of either arm, and what governing makes of it: means over the pairs, with 95 % confidence by Student's t. */
export interface Comparison {
  readonly governed: MeanEstimate;
  readonly full: MeanEstimate;
  /** governed − full of each pair. */
  readonly difference: MeanEstimate;
  /** (governed − full) ÷ full of each pair; null where a pair's full is 0. */
  readonly change: MeanEstimate | null;
}

export interface ServiceComparison {
  readonly service: string;
  readonly sloMs: number;
  /** Requests of all blocks. */
  readonly requests: Readonly<Record<Arm, number>>;
  /** Of all blocks together; null where nothing completed. */
  readonly p99OfAllMs: Readonly<Record<Arm, number>> | null;
  /** Of each block; null where a pair without a request leaves nothing. The same below. */
  readonly p99Ms: Comparison | null;
  /** Share of the requests that took longer than the SLO's latency. */
  readonly overSloRatio: Comparison | null;
  readonly throughputRps: Comparison | null;
}

/** `tailgov measure --json`. */
export interface SavingsReport {
  /** Pairs of blocks that are whole. */
  readonly pairs: number;
  readonly blockMs: number;
  readonly warmupMs: number;
  readonly ended: string | null;
  readonly power: { readonly origin: PowerOrigin; readonly watts: Comparison } | null;
  readonly services: readonly ServiceComparison[];
}

export function savingsReport(
  { pairs, ended }: Measurement,
  { blockMs, warmupMs }: { readonly blockMs: number; readonly warmupMs: number },
): SavingsReport {
  const watts = compare(pairs.map(({ governed, full }) => [governed.power?.watts, full.power?.watts]));
  const origin = pairs.flatMap(({ full }) => full.power?.origin ?? [])[0];
  const names = new Set(pairs.flatMap(({ full }) => full.services.map(({ service }) => service)));
  return {
    pairs: pairs.length,
    blockMs,
    warmupMs,
    ended,
    power: watts === null || origin === undefined ? null : { origin, watts },
    services: [...names].map((service) => compareService(service, pairs)),
  };
}

function compareService(service: string, pairs: Measurement['pairs']): ServiceComparison {
  const inBlock = (block: Block) => block.services.find((each) => each.service === service);
  const both = pairs.flatMap(({ governed, full }) => {
    const [a, b] = [inBlock(governed), inBlock(full)];
    return a === undefined || b === undefined
      ? []
      : [{ governed: a, full: b, governedS: governed.seconds, fullS: full.seconds }];
  });
  const p99Ms = ({ latency }: ServiceBlock) => latency.quantileNs(0.99) / NS_PER_MS;
  const overRatio = ({ overSlo, requests }: ServiceBlock) => overSlo / requests;
  const served = both.filter(({ governed, full }) => governed.requests > 0 && full.requests > 0);
  const all = (arm: Arm) => {
    const sum = new Histogram();
    for (const pair of both) sum.add(pair[arm].latency);
    return sum;
  };
  const requests = (arm: Arm) => both.reduce((sum, pair) => sum + pair[arm].requests, 0);
  const ofAll = { governed: all('governed'), full: all('full') };
  return {
    service,
    sloMs: (both[0]?.full.slo.latencyNs ?? 0) / NS_PER_MS,
    requests: { governed: requests('governed'), full: requests('full') },
    p99OfAllMs:
      ofAll.governed.count === 0 || ofAll.full.count === 0
        ? null
        : {
            governed: ofAll.governed.quantileNs(0.99) / NS_PER_MS,
            full: ofAll.full.quantileNs(0.99) / NS_PER_MS,
          },
    p99Ms: compare(served.map(({ governed, full }) => [p99Ms(governed), p99Ms(full)])),
    overSloRatio: compare(served.map(({ governed, full }) => [overRatio(governed), overRatio(full)])),
    throughputRps: compare(
      both.map(({ governed, full, governedS, fullS }) => [governed.requests / governedS, full.requests / fullS]),
    ),
  };
}

/** @param values governed and full of each pair; pairs that lack one are left out */
function compare(values: readonly (readonly [number | undefined, number | undefined])[]): Comparison | null {
  const known = values.flatMap(([governed, full]) =>
    governed === undefined || full === undefined ? [] : [{ governed, full }],
  );
  if (known.length === 0) return null;
  return {
    governed: estimateMean(known.map(({ governed }) => governed)),
    full: estimateMean(known.map(({ full }) => full)),
    difference: estimateMean(known.map(({ governed, full }) => governed - full)),
    change: known.some(({ full }) => full === 0)
      ? null
      : estimateMean(known.map(({ governed, full }) => (governed - full) / full)),
  };
}

/** The report for humans. */
export function savingsLines(report: SavingsReport): string[] {
  const { pairs, blockMs, warmupMs, ended, power, services } = report;
  const early = ended === null ? [] : [`ended early: ${ended}`];
  if (pairs === 0) return [...early, 'no pair of blocks is whole: nothing to compare'];
  const of = `${pairs} ${pairs === 1 ? 'pair' : 'pairs'} of blocks of ${blockMs / 1000} s, the first ${warmupMs / 1000} s of each left out`;
  const source = power === null ? 'power is not known here' : `power is ${describeOrigin(power.origin)}`;
  const unsure = pairs === 1 ? ['one pair alone has no confidence interval: measure more'] : [];
  const rows = services.flatMap(({ service, sloMs, p99Ms, overSloRatio, throughputRps }) => [
    row(`${service}: p99`, p99Ms, milliseconds, milliseconds, 'difference'),
    row(`${service}: over ${formatNs(sloMs * NS_PER_MS)}`, overSloRatio, percent, percent, 'difference'),
    row(`${service}: requests/s`, throughputRps, plain, percent, 'change'),
  ]);
  return [
    ...early,
    `${of}; ${source}`,
    ...unsure,
    '',
    ...textTable([
      ['mean ± 95 % confidence', 'governed', 'full speed', 'by governing'],
      ...(power === null ? [] : [row('power', power.watts, watts, percent, 'change')]),
      ...rows,
    ]),
  ];
}

type Format = (value: number) => string;
const watts: Format = (value) => `${value.toFixed(1)} W`;
const milliseconds: Format = (value) => `${value.toFixed(3)} ms`;
const percent: Format = (value) => formatPercent(value, 2);
const plain: Format = (value) => value.toFixed(0);

function row(
  name: string,
  figures: Comparison | null,
  format: Format,
  formatEffect: Format,
  effect: 'difference' | 'change',
): string[] {
  if (figures === null) return [name, '–', '–', '–'];
  const by = figures[effect];
  const { governed, full } = figures;
  const shown = by === null ? '–' : `${by.mean > 0 ? '+' : ''}${withInterval(by, formatEffect)}`;
  return [name, withInterval(governed, format), withInterval(full, format), shown];
}
