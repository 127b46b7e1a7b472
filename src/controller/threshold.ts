import { z } from 'zod';
import { controllerKind } from '../core/controller-kind.ts';
import type { ControllerInput, ControllerOutput, Level } from '../core/controller.ts';
import { durationMs } from '../core/quantity-schema.ts';
import { formatNs, formatQuantile } from '../core/units.ts';
import { certainShare } from './evidence.ts';
import { guardedController, type PlainLaw } from './guarded-controller.ts';
import { guardParameters } from './guard-parameters.ts';
import { percent } from './percent.ts';
import { followSpending, type Spending, spendingFrom } from './spending.ts';

const parameters = z.strictObject({
  farOver: z
    .number()
    .min(1)
    .max(10)
    .default(1.35)
    .describe('Latency over this many times the SLO sends the level to the maximum'),
  hold: durationMs().prefault('2s').describe('How long the maximum is then held'),
  upStep: z
    .number()
    .min(0.01)
    .max(1)
    .default(0.1)
    .describe('The rise of the level when latency is over the SLO, in full capacity'),
  under: z.number().min(0.1).max(1).default(0.8).describe('Latency below this share of the SLO lets the level go down'),
  farUnder: z
    .number()
    .min(0)
    .max(1)
    .default(0.75)
    .describe('Latency below this share of the SLO lets it go down faster'),
  downStep: z.number().min(0.001).max(1).default(0.05).describe('A step down, in full capacity'),
  bigDownStep: z
    .number()
    .min(0.001)
    .max(1)
    .default(0.15)
    .describe('A step down when far under the SLO, in full capacity'),
  dwell: durationMs()
    .prefault('500ms')
    .describe('The shortest time between two steps down; a window of measurement if that is longer'),
  ...guardParameters.shape,
});

type ThresholdParameters = z.output<typeof parameters>;

export interface ThresholdState {
  /** The last level asked for. */
  readonly asked: Level;
  /** For how long the maximum is still held. */
  readonly holdMs: number;
  /** Since the level was last moved. */
  readonly sinceMoveMs: number;
  /** Its margin counts latency as higher than it is. */
  readonly spending: Spending;
}

/** No machine's ladder has a step wider than this: asking further below what is applied would only wind up. */
const WIDEST_STEP = 2;

/**
 * Latency against fixed thresholds, in the manner of Pegasus (Lo et al., ISCA 2014): going up is urgent and in one jump,
 * going down is slow, one small step at a time, each after a window that was measured at the level before.
 */
/** Going down stops while more than four fifths of the tolerated slow requests are being spent. */
const SPENDING = { budget: 0.8, gain: 1.5, least: 0, most: Math.LN2 };

export function thresholdLaw(p: ThresholdParameters): PlainLaw<ThresholdState> {
  function initial(level: Level, spending: Spending = spendingFrom(0)): ThresholdState {
    return { asked: level, holdMs: 0, sinceMoveMs: 0, spending };
  }

  function step(input: ControllerInput, state: ThresholdState): ControllerOutput<ThresholdState> {
    const { observation, slo, limits, elapsedMs, appliedLevel } = input;
    const holdMs = Math.max(0, state.holdMs - elapsedMs);
    const sinceMoveMs = state.sinceMoveMs + elapsedMs;
    const spending = followSpending(state.spending, input, SPENDING);
    const clamp = (level: Level) => Math.min(limits.max, Math.max(limits.min, level));
    const stay = (why: string) => {
      const level = clamp(state.asked);
      return {
        level,
        state: { asked: level, holdMs, sinceMoveMs, spending },
        reason: `${why}: staying at ${percent(level)}`,
      };
    };
    const move = (to: Level, why: string, holdForMs = 0) => {
      const level = clamp(to);
      const way = level > state.asked ? 'up to' : level < state.asked ? 'down to' : 'staying at';
      const moved = { asked: level, holdMs: holdForMs, sinceMoveMs: 0, spending };
      return { level, state: moved, reason: `${why}: ${way} ${percent(level)}` };
    };

    const { quantileNs } = observation;
    if (quantileNs === null) return stay('nothing completed');
    const share = quantileNs / slo.latencyNs;
    const figure = `${formatQuantile(slo.quantile)} ${formatNs(quantileNs)}`;
    const fresh = sinceMoveMs >= observation.windowMs;

    if (share >= p.farOver) return move(limits.max, `${figure} far over the SLO ${formatNs(slo.latencyNs)}`, p.hold);
    if (holdMs > 0) return stay(`${figure}, holding for ${(holdMs / 1000).toFixed(1)} s`);
    if (share > 1) {
      const why = `${figure} over the SLO ${formatNs(slo.latencyNs)}`;
      return fresh ? move(Math.max(state.asked, appliedLevel + p.upStep), why) : stay(why);
    }

    const certain = certainShare(observation, slo, p.confidence);
    const counted = share * Math.exp(spending.margin);
    if (counted >= p.under * certain) return stay(`${figure} within the SLO ${formatNs(slo.latencyNs)}`);
    const why = `${figure} under ${percent(p.under)} of the SLO ${formatNs(slo.latencyNs)}`;
    if (!fresh || sinceMoveMs < p.dwell) return stay(why);
    const size = counted < p.farUnder * certain ? p.bigDownStep : p.downStep;
    return move(Math.max(state.asked - size, appliedLevel / WIDEST_STEP), why);
  }

  return { name: 'threshold', initial, step, moved: (state, level) => initial(level, state.spending) };
}

export const threshold = controllerKind({
  name: 'threshold',
  summary: 'Steps the level by thresholds on latency: up at once, down slowly, in the manner of Pegasus',
  parameters,
  create: (p) => guardedController(thresholdLaw(p), { ...p, setpoint: p.under }),
});
