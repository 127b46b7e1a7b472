import { type FileProblem, PolicyError } from '../core/errors.ts';
import { type CoreLoad, type PowerModel, packagePowerWatts } from '../core/power-model.ts';
import { NS_PER_S } from '../core/units.ts';

/** One reading of RAPL's package counter, and what the cores did since the one before. */
export interface PowerSample {
  /** CLOCK_MONOTONIC. */
  readonly atNs: number;
  /** The counter, in joules; it may wrap around. */
  readonly joules: number;
  /** Mean frequency and busy share of every physical core since the sample before. */
  readonly cores: readonly CoreLoad[];
}

/** What the fit takes as given. */
export type KnownPower = Omit<PowerModel, 'staticWatts' | 'awakeWattsPerVolt' | 'capacitanceNf'>;

export interface PowerFit {
  readonly model: PowerModel;
  /** Intervals between samples that the fit rests on, and those left out because the counter wrapped or time stood still. */
  readonly intervals: number;
  readonly skipped: number;
  /** By interval: measured less modelled mean power, in W. */
  readonly residualsWatts: readonly number[];
  readonly rmsWatts: number;
  readonly largestWatts: number;
  /** The share of the variance of the measured power that the model explains, at most 1. */
  readonly explainedRatio: number;
}

/**
 * Finds static power, leakage and capacitance by least squares, none of them negative: power is linear in these three once
 * voltages and the idle core's power are given.
 *
 * @throws RangeError when fewer than four intervals are usable, or when they do not tell the terms apart
 */
export function fitPower(known: KnownPower, samples: readonly PowerSample[]): PowerFit {
  const intervals = intervalsOf(samples);
  if (intervals.length < 4) {
    throw new RangeError(`cannot fit power to ${intervals.length} usable intervals, expected at least 4`);
  }
  // The model's own code says what each term is worth, so that the two cannot part.
  const at = (staticWatts: number, awakeWattsPerVolt: number, capacitanceNf: number): PowerModel => ({
    ...known,
    staticWatts,
    awakeWattsPerVolt,
    capacitanceNf,
  });
  const powerOf = (model: PowerModel) => intervals.map(({ cores }) => packagePowerWatts(model, cores));
  const fixed = powerOf(at(0, 0, 0));
  const units = [at(1, 0, 0), at(0, 1, 0), at(0, 0, 1)];
  const columns = units.map((unit) => powerOf(unit).map((watts, i) => watts - fixed[i]!));
  const measured = intervals.map(({ watts }) => watts);
  const target = measured.map((watts, i) => watts - fixed[i]!);

  const [staticWatts, awakeWattsPerVolt, capacitanceNf] = nonNegativeLeastSquares(columns, target);
  const model = at(staticWatts!, awakeWattsPerVolt!, capacitanceNf!);
  if (!(capacitanceNf! > 0) && !(awakeWattsPerVolt! > 0)) {
    throw new RangeError(
      'cannot fit power: it does not rise with load in these samples, expected idle and busy intervals',
    );
  }
  const residualsWatts = powerOf(model).map((watts, i) => measured[i]! - watts);
  const squares = sumOf(residualsWatts.map((watts) => watts ** 2));
  const meanWatts = sumOf(measured) / measured.length;
  const variation = sumOf(measured.map((watts) => (watts - meanWatts) ** 2));
  return {
    model,
    intervals: intervals.length,
    skipped: Math.max(0, samples.length - 1) - intervals.length,
    residualsWatts,
    rmsWatts: Math.sqrt(squares / residualsWatts.length),
    largestWatts: Math.max(...residualsWatts.map(Math.abs)),
    explainedRatio: variation > 0 ? 1 - squares / variation : 0,
  };
}

/** Lines of JSON: {"atNs":…,"joules":…,"cores":[[kHz, busy share], …]}. @throws PolicyError with every bad line */
export function parsePowerSamples(file: string, text: string): readonly PowerSample[] {
  const problems: FileProblem[] = [];
  const samples: PowerSample[] = [];
  text.split('\n').forEach((line, index) => {
    if (line.trim() === '') return;
    const sample = parsedSample(line);
    if (sample !== undefined) samples.push(sample);
    else {
      const message = 'no power sample, expected {"atNs":…,"joules":…,"cores":[[kHz, busy share 0..1], …]}';
      problems.push({ file, line: index + 1, column: 1, message });
    }
  });
  if (problems.length > 0) throw new PolicyError('bad-file', problems);
  return samples;
}

function parsedSample(line: string): PowerSample | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { atNs, joules, cores } = value as Record<string, unknown>;
  if (typeof atNs !== 'number' || typeof joules !== 'number' || !Array.isArray(cores) || cores.length === 0) {
    return undefined;
  }
  const loads = cores.map((core: unknown): CoreLoad | undefined => {
    if (!Array.isArray(core) || core.length !== 2) return undefined;
    const [frequencyKhz, busy] = core as unknown[];
    const valid = typeof frequencyKhz === 'number' && frequencyKhz > 0 && typeof busy === 'number';
    return valid && busy >= 0 && busy <= 1 ? { frequencyKhz, busy } : undefined;
  });
  return loads.every((load) => load !== undefined) ? { atNs, joules, cores: loads } : undefined;
}

function intervalsOf(samples: readonly PowerSample[]): { watts: number; cores: readonly CoreLoad[] }[] {
  return samples.slice(1).flatMap((sample, i) => {
    const before = samples[i]!;
    const spentJoules = sample.joules - before.joules;
    const spanS = (sample.atNs - before.atNs) / NS_PER_S;
    // A counter that fell has wrapped: how far is not known here.
    return spentJoules >= 0 && spanS > 0 ? [{ watts: spentJoules / spanS, cores: sample.cores }] : [];
  });
}

/**
 * The weights, none negative, whose combination of the columns comes nearest to the target. With a handful of columns the
 * best one is found by trying every subset of them.
 */
export function nonNegativeLeastSquares(columns: readonly (readonly number[])[], target: readonly number[]): number[] {
  let best = columns.map(() => 0);
  let bestSquares = sumOf(target.map((value) => value ** 2));
  for (let subset = 1; subset < 1 << columns.length; subset++) {
    const chosen = columns.map((_, i) => i).filter((i) => (subset >> i) & 1);
    const weights = leastSquares(
      chosen.map((i) => columns[i]!),
      target,
    );
    if (weights === undefined || weights.some((weight) => weight < 0)) continue;
    const squares = sumOf(
      target.map((value, row) => (value - sumOf(chosen.map((i, k) => weights[k]! * columns[i]![row]!))) ** 2),
    );
    if (squares < bestSquares) {
      bestSquares = squares;
      best = columns.map((_, i) => (chosen.includes(i) ? weights[chosen.indexOf(i)]! : 0));
    }
  }
  return best;
}

/** By modified Gram-Schmidt. @returns undefined where the columns are not independent */
function leastSquares(columns: readonly (readonly number[])[], target: readonly number[]): number[] | undefined {
  const basis: number[][] = [];
  const upper: number[][] = [];
  for (const column of columns) {
    let rest = [...column];
    const row: number[] = [];
    for (const direction of basis) {
      const along = dot(direction, rest);
      row.push(along);
      rest = rest.map((value, i) => value - along * direction[i]!);
    }
    const length = Math.sqrt(dot(rest, rest));
    if (!(length > 1e-9 * Math.sqrt(dot(column, column)))) return undefined;
    row.push(length);
    basis.push(rest.map((value) => value / length));
    upper.push(row);
  }
  const weights = basis.map((direction) => dot(direction, target));
  for (let i = columns.length - 1; i >= 0; i--) {
    weights[i] = weights[i]! / upper[i]![i]!;
    for (let above = 0; above < i; above++) weights[above] = weights[above]! - weights[i]! * upper[i]![above]!;
  }
  return weights;
}

const sumOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
const dot = (a: readonly number[], b: readonly number[]) => sumOf(a.map((value, i) => value * b[i]!));
