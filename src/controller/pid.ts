import { z } from 'zod';
import type { ControllerInput, ControllerOutput, Level } from '../core/controller.ts';
import { controllerKind } from '../core/controller-kind.ts';
import { formatNs, formatQuantile } from '../core/units.ts';
import { busyShare, certainShare, logLevelChange } from './evidence.ts';
import { guardedController, type PlainLaw } from './guarded-controller.ts';
import { guardParameters } from './guard-parameters.ts';
import { percent } from './percent.ts';
import { followSpending, type Spending, spendingFrom } from './spending.ts';

const parameters = z.strictObject({
  setpoint: z.number().min(0.3).max(1).default(0.9).describe('The lowest share of the SLO that latency is steered to'),
  budget: z
    .number()
    .min(0.05)
    .max(1)
    .default(0.8)
    .describe(
      'While fewer of the slow requests that the SLO tolerates are spent, latency may settle above the setpoint',
    ),
  kp: z
    .number()
    .min(0)
    .max(2)
    .default(0.1)
    .describe('Proportional gain: the share of the model’s correction made at once'),
  ki: z.number().min(0.01).max(2).default(1.2).describe('Integral gain: the share of the correction added a window'),
  kd: z
    .number()
    .min(0)
    .max(2)
    .default(0.1)
    .describe('Derivative gain: the share of a window’s change of latency answered at once'),
  deadband: z
    .number()
    .min(0)
    .max(0.5)
    .default(0.03)
    .describe('Changes of the level by less than this share of it are not made'),
  slewUp: z
    .number()
    .min(0.01)
    .max(1000)
    .default(5)
    .describe('The fastest rise of the level, in full capacity a second'),
  slewDown: z
    .number()
    .min(0.001)
    .max(1000)
    .default(2)
    .describe('The fastest fall of the level, in full capacity a second'),
  ...guardParameters.shape,
});

type PidParameters = z.output<typeof parameters>;

export interface PidState {
  /** ln(level): what the integral holds. */
  readonly integral: number;
  /** ln(level) that all terms together wanted, before any limit. */
  readonly wanted: number;
  /** The level after the slew limits; it moves on while `asked` waits for the deadband. */
  readonly ramp: Level;
  /** The last level asked for. */
  readonly asked: Level;
  /** ln(latency) behind a first-order filter; null until there was a latency. */
  readonly filtered: number | null;
  /** Its margin says how far below the SLO latency is steered. */
  readonly spending: Spending;
}

/** Latency is steered no nearer to the SLO than this. */
const HIGHEST_TARGET = 0.98;
/** ln of how far the target may sink below the setpoint while too much is spent. */
const FARTHEST_BELOW = Math.LN2;
/** A whole budget overspent halves the target and more: within one compliance window it is to be won back. */
const SPENDING_GAIN = 1.5;

/** The logarithm stops here: no level is zero. */
const LOWEST_LEVEL = 0.001;
const logLevel = (level: Level) => Math.log(Math.max(LOWEST_LEVEL, level));

/**
 * PID on latency, in logarithms, with the gain that a queue has: `logLevelChange` turns the deviation into the change of level
 * that a queue of this utilisation needs. Time is counted in windows of the measurement (the dead time), so that the same
 * gains fit a service of ten and of ten thousand requests a second.
 */
export function pidLaw(p: PidParameters): PlainLaw<PidState> {
  const leastMargin = Math.log(1 / HIGHEST_TARGET);
  const firstMargin = Math.max(leastMargin, Math.log(1 / p.setpoint));
  const mostMargin = firstMargin + FARTHEST_BELOW;

  function initial(level: Level, spending: Spending = spendingFrom(firstMargin)): PidState {
    return { integral: logLevel(level), wanted: logLevel(level), ramp: level, asked: level, filtered: null, spending };
  }

  function step(input: ControllerInput, state: PidState): ControllerOutput<PidState> {
    const { observation, slo, limits, elapsedMs, appliedLevel } = input;
    const { quantileNs } = observation;
    const spending = followSpending(state.spending, input, {
      budget: p.budget,
      gain: SPENDING_GAIN,
      least: leastMargin,
      most: mostMargin,
    });
    const target = Math.exp(-spending.margin);
    if (quantileNs === null || quantileNs <= 0) {
      return { level: state.asked, state, reason: `nothing completed: staying at ${percent(state.asked)}` };
    }
    const clamp = (level: Level) => Math.min(limits.max, Math.max(limits.min, level));
    const windows = Math.min(1, elapsedMs / Math.max(observation.windowMs, elapsedMs, 1));
    const busy = busyShare(observation);
    const ratio = ratioToTarget(quantileNs / slo.latencyNs, certainShare(observation, slo, p.confidence), target);
    const correction = logLevelChange(ratio, busy);

    // Anti-windup: a clamp, a step of its ladder or the slew limits leave the machine elsewhere, and the integral stays near it.
    const applied = logLevel(appliedLevel);
    const pulled = state.integral + p.ki * windows * correction;
    const near = Math.min(applied + FARTHEST_LEAD, Math.max(applied - FARTHEST_LEAD, pulled));
    // Where the machine gives more than was asked and that does not meet the SLO, there is no point in asking for less.
    const overSlo = quantileNs > slo.latencyNs;
    const tooLittle = overSlo && appliedLevel > state.asked * (1 + p.deadband);
    const integral = clampLog(tooLittle ? Math.max(near, applied) : near, limits);

    const measured = Math.log(quantileNs);
    const filtered = state.filtered === null ? measured : state.filtered + (measured - state.filtered) * windows;
    // What the filter has still to follow is the slope times its time constant, one window.
    const slope = logLevelChange(Math.exp(measured - filtered), busy);

    const wanted = integral + p.kp * correction + p.kd * slope;
    const seconds = elapsedMs / 1000;
    const from = tooLittle ? appliedLevel : state.ramp;
    const slowest = from - p.slewDown * seconds;
    const fastest = from + p.slewUp * seconds;
    const ramp = clamp(Math.min(fastest, Math.max(slowest, Math.exp(wanted))));
    const moves = (overSlo && ramp > state.asked) || Math.abs(ramp - state.asked) > p.deadband * state.asked;
    const level = clamp(moves ? ramp : state.asked);
    return {
      level,
      state: { integral, wanted, ramp, asked: level, filtered, spending },
      reason: reasonOf(input, quantileNs, ratio, level, state.asked, target),
    };
  }

  return { name: 'pid', initial, step, moved: (state, level) => initial(level, state.spending) };
}

const clampLog = (log: number, limits: ControllerInput['limits']) =>
  Math.min(logLevel(limits.max), Math.max(logLevel(limits.min), log));

/** ln of the widest step of a ladder that the integral reaches across. */
const FARTHEST_LEAD = 0.3;

/** One step sees latency as no further than this many times over its target: an outlier is no trend. */
const FARTHEST = 8;

/** Latency ÷ target; 1 while it is over the lower target that the counts make certain, and not over the upper one. */
function ratioToTarget(share: number, certain: number, setpoint: number): number {
  if (share > setpoint) return Math.min(FARTHEST, share / setpoint);
  return share < setpoint * certain ? share / (setpoint * certain) : 1;
}

function reasonOf(
  { slo }: ControllerInput,
  quantileNs: number,
  ratio: number,
  level: Level,
  before: Level,
  setpoint: number,
): string {
  const figure = `${formatQuantile(slo.quantile)} ${formatNs(quantileNs)}`;
  const target = formatNs(setpoint * slo.latencyNs);
  const place =
    ratio > 1 ? `over the target ${target}` : ratio < 1 ? `under the target ${target}` : `near the target ${target}`;
  const move = level > before ? 'up to' : level < before ? 'down to' : 'staying at';
  return `${figure} ${place}: ${move} ${percent(level)}`;
}

export const pid = controllerKind({
  name: 'pid',
  summary: 'Steers latency to a share of the SLO with a PID law whose gain follows utilisation',
  parameters,
  create: (p) => guardedController(pidLaw(p), p),
});
