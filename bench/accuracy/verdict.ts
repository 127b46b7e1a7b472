import type { RequestUnit } from '../../src/core/sensor.ts';
import type { AccuracyPoint, Sweep, Times } from './point.ts';

/** A client that is busier than this measures its own queue. */
const BUSY_CLIENT = 0.8;
/** From here on errors are judged relative to what the client saw. */
const SLOW_US = 500;
export const QUANTILES = ['p50Us', 'p95Us', 'p99Us'] as const satisfies readonly (keyof Times)[];

/** A quantile of one point, as both sides saw it. */
export interface Pair {
  readonly clientUs: number;
  readonly sensorUs: number;
}

/** What one way made of one server. */
export interface SweepFigures {
  readonly subject: string;
  readonly way: string;
  readonly unit: RequestUnit;
  /** Of the points that count, in requests a second. */
  readonly rates: readonly number[];
  /** To the line on which both are equal; NaN where the sensor said the same at every point. */
  readonly rSquared: Times;
  /** What the client saw, from the least to the most. */
  readonly clientUs: Readonly<Record<keyof Times, readonly [low: number, high: number]>>;
  /** Medians over all quantiles of all points; null where there are none. */
  readonly slowError: number | null;
  readonly fastErrorUs: number | null;
  /** The largest of all points. */
  readonly countError: number;
}

interface Goal {
  readonly name: string;
  /** null where it cannot be judged. */
  valueOf(figures: SweepFigures): number | null;
  isReached(value: number): boolean;
  show(figures: SweepFigures): string;
}

export const GOALS: readonly Goal[] = [
  ...QUANTILES.map((quantile): Goal => ({
    name: `${quantile.replace('Us', '')}: R² to the identity ≥ 0.99`,
    valueOf: ({ rSquared }) => rSquared[quantile],
    isReached: (value) => value >= 0.99,
    show: ({ rSquared, clientUs }) =>
      `${showRSquared(rSquared[quantile])} (${clientUs[quantile].map((value) => value.toFixed(0)).join(' to ')} µs)`,
  })),
  {
    name: 'median error ≤ 5 % where the client sees ≥ 500 µs',
    valueOf: ({ slowError }) => slowError,
    isReached: (value) => value <= 0.05,
    show: ({ slowError }) => `${(100 * slowError!).toFixed(1)} %`,
  },
  {
    name: 'median error ≤ 25 µs where it sees less',
    valueOf: ({ fastErrorUs }) => fastErrorUs,
    isReached: (value) => value <= 25,
    show: ({ fastErrorUs }) => `${fastErrorUs!.toFixed(0)} µs`,
  },
  {
    name: 'throughput within 0.5 %, at every point',
    valueOf: ({ countError }) => countError,
    isReached: (value) => value <= 0.005,
    show: ({ countError, unit }) => `${(100 * countError).toFixed(1)} %${unit === 'turn' ? '' : ` (${unit}s)`}`,
  },
];

/** However far off, it says no more than that. */
export const showRSquared = (value: number): string => (value < -99 ? '< −99' : value.toFixed(3));

/** Left out of every figure. */
export const isOwnBottleneck = ({ client }: AccuracyPoint): boolean =>
  client.busyRatio !== null && client.busyRatio > BUSY_CLIENT;

/** Points that count, and at which the sensor has counted something. */
export function pairsOf({ points }: Sweep, way: string, quantile: keyof Times): readonly Pair[] {
  return points
    .filter((point) => !isOwnBottleneck(point))
    .flatMap(({ client, sensors }) => {
      const sensor = sensors.find((each) => each.way === way && each.requests > 0);
      return sensor === undefined ? [] : [{ clientUs: client[quantile], sensorUs: sensor[quantile] }];
    });
}

/** How much of the variance of y the line y = x explains: 1 − Σ(y − x)² ÷ Σ(y − ȳ)², where y is the sensor's. */
export function rSquaredToIdentity(pairs: readonly Pair[]): number {
  const mean = pairs.reduce((sum, { sensorUs }) => sum + sensorUs, 0) / pairs.length;
  const off = pairs.reduce((sum, { clientUs, sensorUs }) => sum + (sensorUs - clientUs) ** 2, 0);
  const spread = pairs.reduce((sum, { sensorUs }) => sum + (sensorUs - mean) ** 2, 0);
  return spread === 0 ? Number.NaN : 1 - off / spread;
}

/** @returns undefined where that way saw nothing of this server */
export function figuresOf(sweep: Sweep, way: string): SweepFigures | undefined {
  const used = sweep.points.filter((point) => !isOwnBottleneck(point));
  const seen = used.flatMap(({ client, sensors }) => {
    const sensor = sensors.find((each) => each.way === way);
    return sensor === undefined ? [] : [{ client, sensor }];
  });
  const all = QUANTILES.flatMap((quantile) => pairsOf(sweep, way, quantile));
  if (all.length === 0) return undefined;
  const slow = all.filter(({ clientUs }) => clientUs >= SLOW_US);
  const fast = all.filter(({ clientUs }) => clientUs < SLOW_US);
  const range = (quantile: keyof Times) => {
    const values = used.map(({ client }) => client[quantile]);
    return [Math.min(...values), Math.max(...values)] as const;
  };
  const ofEach = <T>(value: (quantile: keyof Times) => T) =>
    Object.fromEntries(QUANTILES.map((quantile) => [quantile, value(quantile)])) as Record<keyof Times, T>;
  return {
    subject: sweep.subject,
    way,
    unit: seen.at(-1)!.sensor.unit,
    rates: used.map(({ rate }) => rate),
    rSquared: ofEach((quantile) => rSquaredToIdentity(pairsOf(sweep, way, quantile))),
    clientUs: ofEach(range),
    slowError: median(slow.map(({ clientUs, sensorUs }) => Math.abs(sensorUs / clientUs - 1))),
    fastErrorUs: median(fast.map(({ clientUs, sensorUs }) => Math.abs(sensorUs - clientUs))),
    countError: Math.max(
      ...seen.map(({ client, sensor }) => Math.abs((sensor.requests - client.turnsBesides) / client.requests - 1)),
    ),
  };
}

function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
