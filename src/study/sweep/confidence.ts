/** Student's t, two-sided 95 %, by degrees of freedom from 1. */
const T_975 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

export interface MeanEstimate {
  readonly mean: number;
  /** Half the width of the 95 % confidence interval; null where there is one value only. */
  readonly plusMinus: number | null;
}

/** `12.3 ± 0.4 %`; without the interval where there is none */
export function withInterval({ mean, plusMinus }: MeanEstimate, format: (value: number) => string, unit = ''): string {
  return `${format(mean)}${plusMinus === null ? '' : ` ± ${format(plusMinus)}`}${unit}`;
}

/**
 * Mean and 95 % confidence interval of independent values, by Student's t. Beyond 31 values t of 30 degrees of freedom goes
 * on, which is a little too wide. @throws RangeError for no values
 */
export function estimateMean(values: readonly number[]): MeanEstimate {
  const count = values.length;
  if (count === 0) throw new RangeError('cannot estimate the mean of no values');
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  if (count === 1) return { mean, plusMinus: null };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  const t = T_975[Math.min(count - 1, T_975.length) - 1]!;
  return { mean, plusMinus: t * Math.sqrt(variance / count) };
}
