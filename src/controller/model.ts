import { z } from 'zod';
import { controllerKind } from '../core/controller-kind.ts';
import type { ControllerInput, ControllerOutput, Level } from '../core/controller.ts';
import { formatNs, formatQuantile } from '../core/units.ts';
import { certainShare, sureShare } from './evidence.ts';
import { guardedController, type GuardedLaw } from './guarded-controller.ts';
import { guardParameters } from './guard-parameters.ts';
import { meanLevel } from './level-history.ts';
import { percent } from './percent.ts';
import { lowestLevel } from './lowest-level.ts';
import {
  canFollowQueue,
  type Demand,
  demandNow,
  queueLastsMs,
  type ServiceEstimate,
  tailAt,
} from './service-estimate.ts';
import { followSpending, isCounted, type Spending, spendingFrom } from './spending.ts';

const parameters = z.strictObject({
  budget: z
    .number()
    .min(0.05)
    .max(1)
    .default(1)
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
});

type ModelParameters = z.output<typeof parameters>;

export interface ModelState {
  readonly asked: Level;
  /** Its margin is a factor on the prediction: what the formulas do not know of this service. */
  readonly spending: Spending;
  readonly sinceStartMs: number;
}

const FIRST_LOOK_MS = 1500;

/** Added to the margin for a load that is higher by a factor of e than the one at which it was learned. */
const UNSETTLED_MARGIN = 0.29;

/** A whole budget over- or underspent in one compliance window moves the margin by this. */
const MARGIN_GAIN = 1.5;
const LEAST_MARGIN = -0.2;
/** The least where requests are so few that chance decides over a budget: some room for it. */
const FEW_MARGIN = 0.4;
const MOST_MARGIN = 2.5;
/** What it mostly comes to, since the prediction errs on the safe side. */
const NEW_MARGIN = -0.1;

/** A prediction is trusted down to this share of the level that was measured, and is checked there before it goes further. */
const LARGEST_DROP = 0.6;

/** Where the queue cannot be followed, a level just above the load is one that a small error of the load puts below it. */
const LOAD_ROOM = 1.1;

/**
 * Predicts at every tick the tail of latency at every level, from what waits now, what arrives, and how long requests are
 * handled (`service-estimate.ts`), and takes the cheapest level that meets the SLO. What waits is looked at every time, so that
 * the level follows the queue: slow while it is short, fast while it is long, which takes less power than the one speed that
 * would be fast enough for all queues. `margin` multiplies the prediction until the share of slow requests is the one that
 * may be spent.
 */
export function modelLaw(p: ModelParameters): GuardedLaw<ModelState> {
  const initial = (level: Level): ModelState => ({
    asked: level,
    spending: spendingFrom(NEW_MARGIN),
    sinceStartMs: 0,
  });

  function step(input: ControllerInput, before: ModelState, service: ServiceEstimate): ControllerOutput<ModelState> {
    const { observation, slo, limits, appliedLevel } = input;
    const { quantileNs } = observation;
    const { asked } = before;
    const state = follow(input, before, p);
    if (quantileNs === null || quantileNs <= 0 || service.workNs === null) {
      return { level: asked, state, reason: `nothing completed: staying at ${percent(asked)}` };
    }
    const { spending } = state;
    const sure = (isCounted(spending, slo) ? sureShare : certainShare)(observation, slo, p.confidence);
    const lowest = LARGEST_DROP * meanLevel(service.history, appliedLevel);
    const floor = canFollowQueue(slo) ? limits.min : Math.min(limits.max, LOAD_ROOM * (service.load.load ?? 0));
    const demand = demandNow(service, input);
    const predictedNs = predictor(input, service, spending);
    const cheapest = (targetNs: number, served = demand) =>
      Math.max(
        floor,
        lowestLevel(limits, (level) => predictedNs(level, served) <= targetNs),
      );
    const up = cheapest(slo.latencyNs);
    // The first look at utilisation takes a moment; without it the load is a guess.
    const blind = observation.utilization === null && state.sinceStartMs < FIRST_LOOK_MS;
    // An alarm is spent until the next tick: whatever it finds, it is no time to go down.
    const down = blind || observation.alarmed ? asked : Math.max(lowest, cheapest(sure * slo.latencyNs));
    const wanted = up > asked * (1 + p.deadband) ? up : down < asked * (1 - p.deadband) ? down : asked;
    const level = Math.min(limits.max, Math.max(limits.min, wanted));
    // What waits does so for a moment, and the level that it takes is for no longer.
    const forQueue = level > cheapest(slo.latencyNs, { ...demand, inFlight: 0 }) * (1 + p.deadband);
    const figure = `${formatQuantile(slo.quantile)} ${formatNs(quantileNs)}`;
    const move = level > asked ? 'up to' : level < asked ? 'down to' : 'staying at';
    const reason = `${figure}: ${move} ${percent(level)}, where ${formatNs(predictedNs(level, demand))} is predicted`;
    return { level, state: { ...state, asked: level }, reason, ...(forQueue ? { againMs: queueLastsMs(slo) } : {}) };
  }

  return { name: 'model', foresees: true, initial, step, moved: (state, level) => ({ ...state, asked: level }) };
}

/** The predicted latency, in ns, at the SLO's quantile, with the margin. */
function predictor({ slo }: ControllerInput, service: ServiceEstimate, { margin }: Spending) {
  const factor = Math.exp(margin + UNSETTLED_MARGIN * service.rise);
  return (level: Level, demand: Demand) => factor * tailAt(service, slo, level, demand);
}

function follow(input: ControllerInput, before: ModelState, p: ModelParameters): ModelState {
  const isFew = before.spending.usualRps !== null && !isCounted(before.spending, input.slo);
  return {
    ...before,
    spending: followSpending(before.spending, input, {
      budget: p.budget,
      gain: p.learning * MARGIN_GAIN,
      least: isFew ? FEW_MARGIN : LEAST_MARGIN,
      most: MOST_MARGIN,
    }),
    sinceStartMs: before.sinceStartMs + input.elapsedMs,
  };
}

export const model = controllerKind({
  name: 'model',
  summary: 'Predicts the tail at every level from load, demand and waits, and takes the cheapest that meets the SLO',
  parameters,
  create: (p) => guardedController(modelLaw(p), { ...p, setpoint: 0.85 }),
});
