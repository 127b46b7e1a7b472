import type { Controller, ControllerInput, ControllerOutput, Level } from '../core/controller.ts';
import { isDrained, urgencyOf } from './evidence.ts';
import { type Effect, initialEffect, noteOn, watchEffect } from './effect.ts';
import type { GuardParameters } from './guard-parameters.ts';
import { type HeldEvidence, holdEvidence, noEvidence, withEvidence } from './held-evidence.ts';
import { meanLevel } from './level-history.ts';
import { lowestLevel } from './lowest-level.ts';
import { percent } from './percent.ts';
import { followSaturation, neverSaturated, type Saturation } from './saturation.ts';
import {
  canFollowQueue,
  learnService,
  nothingLearned,
  queueLastsMs,
  type ServiceEstimate,
  tailAt,
} from './service-estimate.ts';

/** What the service was doing at the last step. */
type Situation =
  | { readonly kind: 'active' }
  | { readonly kind: 'stall' }
  | { readonly kind: 'idle' | 'silence'; readonly forMs: number };

export interface GuardedState<LawState> {
  readonly law: LawState;
  readonly situation: Situation;
  /** The last level asked for, and the last one asked for while the service was active. */
  readonly level: Level;
  readonly activeLevel: Level;
  /** Over the law's level while a burst lasts, what was applied before it, and how many looks found that it is still needed. */
  readonly boost: { readonly level: Level; readonly restLevel: Level; readonly looks: number } | null;
  readonly service: ServiceEstimate;
  readonly saturation: Saturation;
  readonly effect: Effect;
  readonly evidence: HeldEvidence;
  readonly sinceAlarmMs: number;
}

/** A law as the guard sees it. */
export interface GuardedLaw<State> extends Omit<Controller<State>, 'step'> {
  /** @param service what has been learned of the service, this step's observation included */
  step(input: ControllerInput, state: State, service: ServiceEstimate): ControllerOutput<State>;
  /** The level was moved over the law's head. Absent: the law starts anew from there. */
  moved?(state: State, level: Level): State;
  /** Knows itself what a jump of the load and a queue need, where queues can be followed. */
  readonly foresees?: true;
}

/** A law that goes by its input alone. */
export type PlainLaw<State> = Controller<State> & Pick<GuardedLaw<State>, 'moved'>;

/**
 * Wraps a control law with what every law needs and none should repeat. The law itself sees active services only.
 *
 * - silence: the level is held, then raised to a safe one;
 * - stall: the highest level at once;
 * - idle: after a while a low level; the first arrival brings back the level from before in one jump;
 * - urgency: a burst that the last tick alone proves raises the level without waiting for the law;
 * - a utilisation ceiling: clients that wait for each reply slow down with the server, so that the SLO can hold while
 *   throughput falls;
 * - raising that does not help stops, and the level goes back to where latency still was as good.
 *
 * The law is shown the counts of all requests since the level came to rest, where that is more than the window holds.
 */
export function guardedController<LawState>(
  law: GuardedLaw<LawState>,
  parameters: GuardParameters & { readonly setpoint: number; readonly learning?: number },
): Controller<GuardedState<LawState>> {
  const { setpoint, learning, utilizationCeiling, idleLevel, safeLevel } = parameters;
  const { idleAfter: idleAfterMs, silenceAfter: silenceAfterMs } = parameters;

  const moved = (state: LawState, level: Level) => law.moved?.(state, level) ?? law.initial(level);

  function initial(level: Level): GuardedState<LawState> {
    return {
      law: law.initial(level),
      situation: { kind: 'active' },
      level,
      activeLevel: level,
      boost: null,
      service: nothingLearned,
      saturation: neverSaturated,
      effect: initialEffect,
      evidence: noEvidence,
      sinceAlarmMs: Infinity,
    };
  }

  function step(given: ControllerInput, state: GuardedState<LawState>): ControllerOutput<GuardedState<LawState>> {
    const clamp = (level: Level) => Math.min(given.limits.max, Math.max(given.limits.min, level));
    const inactive = whileInactive(given, state);
    if (inactive !== null) {
      const level = clamp(inactive.level);
      return {
        level,
        reason: inactive.reason,
        state: { ...state, level, boost: null, situation: inactive.situation },
        ...(inactive.rests ? { rests: true } : {}),
      };
    }
    const wasMoved = state.situation.kind !== 'active' && state.level !== state.activeLevel;
    // At low rates most ticks see nothing: time went on all the same.
    const skippedMs = state.situation.kind === 'idle' && !wasMoved ? state.situation.forMs : 0;
    const elapsed = { ...given, elapsedMs: given.elapsedMs + skippedMs };
    // A boost is ours, and short: the law goes by the level that it asked for itself.
    const resting = { ...elapsed, appliedLevel: state.boost?.restLevel ?? given.appliedLevel };
    const evidence = holdEvidence(state.evidence, resting);
    const service = learnService(state.service, elapsed, learning);
    const { load } = service;
    const saturation = followSaturation(state.saturation, load, utilizationCeiling);
    const follows = canFollowQueue(given.slo);
    const foresees = law.foresees === true && follows;
    const isNew = service.sinceRiseMs < NEW_LOAD_MS && !foresees;
    const sinceAlarmMs = given.observation.alarmed ? 0 : state.sinceAlarmMs + elapsed.elapsedMs;
    const alarmed =
      given.observation.alarmed || sinceAlarmMs < (isNew ? NEW_ALARM_LASTS_MS : follows ? 0 : ALARM_LASTS_MS);
    const input = { ...resting, observation: { ...withEvidence(given.observation, evidence), alarmed } };
    const room = isNew ? JUMP_HEADROOM * (load.load ?? 0) : 0;
    const measuredLevel = meanLevel(service.history, given.appliedLevel);
    const effect = watchEffect(elapsed, state.effect, (load.load ?? 0) / utilizationCeiling, measuredLevel);
    const active =
      effect?.kind === 'futile'
        ? stopRaising(effect, state)
        : wasMoved
          ? resume(input, state)
          : govern(input, state, service, { floor: Math.max(saturation.floor, room), isNew, foresees });
    const boost = effect?.kind === 'futile' || foresees ? null : boostFor(given, alarmed, state);
    const level = clamp(Math.max(active.level, boost?.level ?? 0));
    const note = noteOn(effect, input);
    // Was the answer to a burst enough, and is it still needed? Within an interval thousands of requests may come. One that has
    // lasted will go on lasting, and looking takes time, too.
    const sooner = boost !== null || given.observation.alarmed;
    const againMs = sooner ? queueLastsMs(given.slo) * 2 ** (boost?.looks ?? 0) : active.againMs;
    return {
      level,
      ...(againMs === undefined ? {} : { againMs }),
      reason: [
        boost !== null && boost.level > active.level ? `${boost.why}: boost to ${percent(level)}` : active.reason,
        ...(note === null ? [] : [note]),
      ].join('; '),
      state: {
        law: active.state,
        situation: { kind: 'active' },
        level,
        activeLevel: clamp(active.level),
        boost,
        service,
        saturation,
        effect,
        evidence,
        sinceAlarmMs,
      },
    };
  }

  /** Latency is over the SLO and speed is not what it lacks: no more than what keeps it from getting worse. */
  function stopRaising(
    { level, seeking }: Exclude<Effect, null> & { readonly kind: 'futile' },
    state: GuardedState<LawState>,
  ): ControllerOutput<LawState> {
    const way = level < state.level ? 'down to' : level > state.level ? 'back up to' : 'staying at';
    const reason = `${seeking ? 'seeking the lowest level that is as good' : 'as good as any'}: ${way} ${percent(level)}`;
    return { level, state: moved(state.law, level), reason };
  }

  /** The first step after idle, stall or silence: back to the level from before, or where it is if that is higher. */
  function resume(input: ControllerInput, state: GuardedState<LawState>): ControllerOutput<LawState> {
    const level = Math.min(input.limits.max, Math.max(state.level, state.activeLevel));
    return { level, state: moved(state.law, level), reason: `active again: to ${percent(level)}` };
  }

  function govern(
    input: ControllerInput,
    state: GuardedState<LawState>,
    service: ServiceEstimate,
    { floor, isNew, foresees }: { readonly floor: Level; readonly isNew: boolean; readonly foresees: boolean },
  ): ControllerOutput<LawState> {
    const { limits, slo } = input;
    const { load, arrivals } = service.load;
    const before = state.service.load.arrivals;
    if (arrivals?.jumped === true && before !== null && load !== null && !foresees) {
      // To where latency is predicted to be what it was.
      const sameNs = tailAt(service, slo, state.activeLevel, { rps: before.rps, inFlight: 0 });
      const alike = (level: Level) => tailAt(service, slo, level, { rps: arrivals.rps, inFlight: 0 }) <= sameNs;
      const level = Math.min(limits.max, Math.max(floor, load / utilizationCeiling, lowestLevel(limits, alike)));
      const rates = `${Math.round(before.rps)}/s to ${Math.round(arrivals.rps)}/s`;
      const reason = `arrivals jumped from ${rates}: ${moveOf(state.activeLevel, level)} for the same latency`;
      return { level, state: moved(state.law, level), reason };
    }
    const decided = law.step(input, state.law, service);
    if (floor <= decided.level || decided.level >= limits.max) return decided;
    const level = Math.min(limits.max, floor);
    const reason = `utilisation ceiling: ${percent(level)}`;
    // Where the load is new the law goes on from here, or it would fall back as soon as it may.
    return { level, state: isNew ? moved(decided.state, level) : decided.state, reason };
  }

  /** A burst is met at once and for as long as it lasts; what it says about the level at other times is for the law to learn. */
  function boostFor(given: ControllerInput, alarmed: boolean, { boost }: GuardedState<LawState>) {
    const urgency = urgencyOf(given, setpoint);
    const restLevel = boost?.restLevel ?? given.appliedLevel;
    if (urgency !== null) {
      const level = Math.min(given.limits.max, Math.max(boost?.level ?? 0, given.appliedLevel * urgency.factor));
      return { level, restLevel, looks: level === boost?.level ? boost.looks + 1 : 0, why: urgency.why };
    }
    if (boost === null || (isDrained(given) && !alarmed)) return null;
    return { ...boost, looks: boost.looks + 1, why: `${given.observation.inFlight} in flight` };
  }

  /** What silence, stall and idle ask for; null while the service is active. */
  function whileInactive(
    { observation, limits, elapsedMs }: ControllerInput,
    { situation, level }: GuardedState<LawState>,
  ): {
    readonly level: Level;
    readonly reason: string;
    readonly situation: Situation;
    readonly rests?: boolean;
  } | null {
    const { health } = observation;
    if (health === 'stall') {
      const reason = `stall, ${observation.inFlight} in flight and none completes: to the maximum`;
      return { level: limits.max, reason, situation: { kind: 'stall' } };
    }
    // An alarm while idle is the first arrival.
    if (health === 'active' || (health === 'idle' && observation.alarmed)) return null;

    const forMs = elapsedMs + (situation.kind === health ? situation.forMs : 0);
    const now: Situation = { kind: health, forMs };
    const figure = `${(forMs / 1000).toFixed(1)} s`;
    if (health === 'silence') {
      return forMs < silenceAfterMs
        ? { level, reason: `no data for ${figure}: holding`, situation: now }
        : { level: Math.max(level, safeLevel), reason: `no data for ${figure}: safe level`, situation: now };
    }
    if (forMs < idleAfterMs) return { level, reason: `idle for ${figure}: holding`, situation: now };
    const lowest = Math.min(level, idleLevel ?? limits.min);
    return { level: lowest, reason: `idle for ${figure}: idle level`, situation: now, rests: true };
  }

  return { name: law.name, initial, step };
}

/**
 * Where the load is new to a law that foresees nothing, an answer stands for so long: there will be more. Where a queue outgrows
 * the objective before it is answered it stands, too, but not as long: most of these bursts are chance, and over already.
 */
const NEW_ALARM_LASTS_MS = 100;
const ALARM_LASTS_MS = 30;

/** A load that has just jumped up is given this many times what it needs, as the kernel's schedutil does, and for so long. */
const JUMP_HEADROOM = 1.15;
const NEW_LOAD_MS = 3000;

function moveOf(from: Level, to: Level): string {
  const [before, after] = [percent(from), percent(to)];
  return before === after ? `staying at ${after}` : `${to > from ? 'up' : 'down'} from ${before} to ${after}`;
}
