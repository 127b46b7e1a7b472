import { z } from 'zod';
import { controllerKind } from '../core/controller-kind.ts';
import type { ControllerInput, ControllerOutput, Level } from '../core/controller.ts';
import { formatNs, formatQuantile } from '../core/units.ts';
import { certainShare } from './evidence.ts';
import { guardedController, type GuardedLaw } from './guarded-controller.ts';
import { guardParameters, utilizationCeiling } from './guard-parameters.ts';
import { meanLevel } from './level-history.ts';
import { percent } from './percent.ts';
import { followSpending, type Spending } from './spending.ts';
import { HIGHEST_UTILIZATION } from './queue-tail.ts';
import {
  learnService,
  nothingLearned,
  type ServiceEstimate,
  tailAt,
  tailOfWindow,
  utilizationAt,
} from './service-estimate.ts';

const parameters = z.strictObject({
  budget: z
    .number()
    .min(0.05)
    .max(1)
    .default(0.8)
    .describe('The share of the slow requests that the SLO tolerates which may be spent on saving power'),
  learning: z
    .number()
    .min(0.1)
    .max(10)
    .default(1)
    .describe('How fast measurements correct the model, as a multiple of the usual pace'),
  deadband: z
    .number()
    .min(0)
    .max(0.5)
    .default(0.02)
    .describe('Changes of the level by less than this share of it are not made'),
  ...guardParameters.shape,
  // The model sees saturation come: it may go nearer.
  utilizationCeiling: utilizationCeiling(0.98),
});

type ModelParameters = z.output<typeof parameters>;

export interface ModelState {
  readonly asked: Level;
  readonly service: ServiceEstimate;
  /** ln(measured tail ÷ predicted tail), learned: what the formulas do not know of this service. */
  readonly correction: number;
  /** Its margin is a factor on the prediction. */
  readonly spending: Spending;
  /** After a jump of the load the queue is not in balance for so long, and the prediction is hardly to be corrected. */
  readonly unsettledMs: number;
  readonly sinceStartMs: number;
}

/** The model is corrected at the pace of so many requests, and no faster than in so many milliseconds. */
const LEARNING_REQUESTS = 2000;
const LEARNING_MS = 1000;
const FIRST_LOOK_MS = 1500;
const UNSETTLED_MS = 500;
const UNSETTLED_WEIGHT = 0.2;
/** A backlog is no property of the service: one tick counts as no further off than this many times the prediction. */
const MOST_EXCESS = 3;
/** No prediction is off by more than this, e^5 = 150 times. */
const LARGEST_CORRECTION = 5;

/** A whole budget over- or underspent in one compliance window moves the margin by this. */
const MARGIN_GAIN = 1.5;
const LEAST_MARGIN = -0.7;
const MOST_MARGIN = 2.5;
/** Where nothing has been learned yet. */
const NEW_MARGIN = 0.05;

/** A prediction is trusted down to this share of the level that was measured, and is checked there before it goes further. */
const LARGEST_DROP = 0.6;
const BISECTIONS = 10;

/**
 * Predicts the tail of latency at every level, and takes the cheapest that meets the SLO. `service-estimate.ts` has the
 * prediction; two corrections are learned from what is measured. `correction` multiplies it until it agrees with the
 * measured quantile; `margin` does until the share of slow requests is the one that may be spent.
 */
export function modelLaw(p: ModelParameters): GuardedLaw<ModelState> {
  function initial(level: Level): ModelState {
    return {
      asked: level,
      service: nothingLearned,
      correction: 0,
      spending: { margin: NEW_MARGIN, usualRps: null },
      unsettledMs: 0,
      sinceStartMs: 0,
    };
  }

  function step(input: ControllerInput, before: ModelState): ControllerOutput<ModelState> {
    const { observation, slo, limits, appliedLevel } = input;
    const { quantileNs } = observation;
    const { asked } = before;
    const state = learn(input, before, p);
    if (quantileNs === null || quantileNs <= 0 || state.service.workNs === null) {
      return { level: asked, state, reason: `nothing completed: staying at ${percent(asked)}` };
    }
    const certain = certainShare(observation, slo, p.confidence);
    const lowest = LARGEST_DROP * meanLevel(state.service.history, appliedLevel);
    const up = cheapest(input, state, slo.latencyNs);
    // The first look at utilisation takes a second; without it the load is a guess.
    const blind = observation.utilization === null && state.sinceStartMs < FIRST_LOOK_MS;
    const down = blind ? asked : Math.max(lowest, cheapest(input, state, certain * slo.latencyNs));
    const wanted = up > asked * (1 + p.deadband) ? up : down < asked * (1 - p.deadband) ? down : asked;
    const level = Math.min(limits.max, Math.max(limits.min, wanted));
    return { level, state: { ...state, asked: level }, reason: reasonOf(input, state, quantileNs, level, asked) };
  }

  return { name: 'model', foresees: true, initial, step, moved: (state, level) => ({ ...state, asked: level }) };
}

/** The predicted latency, in ns, at the SLO's quantile, corrected by what was measured. */
function predictedNs({ slo }: ControllerInput, { service, correction }: ModelState, level: Level): number {
  return Math.exp(correction) * tailAt(service, slo.quantile, level, service.arrivals?.rps ?? 0);
}

/** The lowest level whose prediction, with the margin, stays under the target: latency falls as the level rises. */
function cheapest(input: ControllerInput, state: ModelState, targetNs: number): Level {
  const { min, max } = input.limits;
  const reachNs = targetNs / Math.exp(state.spending.margin);
  const rps = state.service.arrivals?.rps ?? 0;
  const meets = (level: Level) =>
    utilizationAt(state.service, level, rps) < HIGHEST_UTILIZATION && predictedNs(input, state, level) <= reachNs;
  if (meets(min)) return min;
  let low = min;
  let high = max;
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2;
    if (meets(middle)) high = middle;
    else low = middle;
  }
  return high;
}

function learn(input: ControllerInput, before: ModelState, p: ModelParameters): ModelState {
  const { observation, elapsedMs } = input;
  const { quantileNs, latest } = observation;
  const sinceStartMs = before.sinceStartMs + elapsedMs;
  const pace = Math.min(latest.requests / LEARNING_REQUESTS, elapsedMs / LEARNING_MS);
  const weight = -Math.expm1(-p.learning * pace);
  const service = learnService(before.service, input, weight);
  if (quantileNs === null || quantileNs <= 0 || latest.requests === 0 || service.workNs === null) {
    return { ...before, service, sinceStartMs };
  }

  const jumped = service.arrivals?.jumped === true;
  const unsettledMs = jumped ? UNSETTLED_MS : Math.max(0, before.unsettledMs - elapsedMs);
  const missed = Math.log(quantileNs / Math.max(1, tailOfWindow(service, input))) - before.correction;
  // The mean of the ratio, not of its logarithm: short spells of long queues make most of the slow requests.
  const excess = Math.min(MOST_EXCESS, Math.expm1(missed));
  const correction = before.correction + excess * weight * (unsettledMs > 0 ? UNSETTLED_WEIGHT : 1);

  const spending = followSpending(before.spending, input, {
    budget: p.budget,
    gain: p.learning * MARGIN_GAIN,
    least: LEAST_MARGIN,
    most: MOST_MARGIN,
  });
  return {
    ...before,
    service,
    correction: Math.min(LARGEST_CORRECTION, Math.max(-LARGEST_CORRECTION, correction)),
    spending,
    unsettledMs,
    sinceStartMs,
  };
}

function reasonOf(input: ControllerInput, state: ModelState, quantileNs: number, level: Level, before: Level): string {
  const figure = `${formatQuantile(input.slo.quantile)} ${formatNs(quantileNs)}`;
  const move = level > before ? 'up to' : level < before ? 'down to' : 'staying at';
  const predicted = predictedNs(input, state, level);
  return `${figure}: ${move} ${percent(level)}, where ${formatNs(predicted)} is predicted`;
}

export const model = controllerKind({
  name: 'model',
  summary: 'Predicts the tail at every level from load, demand and waits, and takes the cheapest that meets the SLO',
  parameters,
  create: (p) => guardedController(modelLaw(p), { ...p, setpoint: 0.85 }),
});
