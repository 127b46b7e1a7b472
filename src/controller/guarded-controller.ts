import type { Controller, ControllerInput, ControllerOutput, Level } from '../core/controller.ts';
import { urgencyOf } from './evidence.ts';
import { type Effect, initialEffect, watchEffect } from './effect.ts';
import type { GuardParameters } from './guard-parameters.ts';
import { percent } from './percent.ts';

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
  /** The load as a share of full capacity (utilisation × level), filtered; null while not known. */
  readonly load: number | null;
  readonly effect: Effect;
}

/**
 * Wraps a control law with what every law needs and none should repeat. The law itself sees active services only.
 *
 * - silence: the level is held, then raised to a safe one;
 * - stall: the highest level at once;
 * - idle: after a while a low level; the first arrival brings back the level from before in one jump;
 * - urgency: a burst that the last tick alone proves raises the level without waiting for the law;
 * - a utilisation ceiling: clients that wait for each reply slow down with the server, so that the SLO can hold while
 *   throughput falls.
 */
export function guardedController<LawState>(
  law: Controller<LawState>,
  parameters: GuardParameters & { readonly setpoint: number },
): Controller<GuardedState<LawState>> {
  const { setpoint, utilizationCeiling, idleLevel, safeLevel } = parameters;
  const { idleAfter: idleAfterMs, silenceAfter: silenceAfterMs } = parameters;

  function initial(level: Level): GuardedState<LawState> {
    return {
      law: law.initial(level),
      situation: { kind: 'active' },
      level,
      activeLevel: level,
      load: null,
      effect: initialEffect,
    };
  }

  function step(input: ControllerInput, state: GuardedState<LawState>): ControllerOutput<GuardedState<LawState>> {
    const clamp = (level: Level) => Math.min(input.limits.max, Math.max(input.limits.min, level));
    const inactive = whileInactive(input, state);
    if (inactive !== null) {
      const level = clamp(inactive.level);
      return { level, reason: inactive.reason, state: { ...state, level, situation: inactive.situation } };
    }
    const active = wasMoved(state) ? resume(input, state) : govern(input, state);
    const level = clamp(active.level);
    const effect = watchEffect(input, state.effect);
    return {
      level,
      reason: effect.note === null ? active.reason : `${active.reason}; ${effect.note}`,
      state: {
        law: active.state,
        situation: { kind: 'active' },
        level,
        activeLevel: level,
        load: filteredLoad(input, state.load),
        effect: effect.state,
      },
    };
  }

  /** The first step after idle, stall or silence: back to the level from before, or where it is if that is higher. */
  function resume(input: ControllerInput, state: GuardedState<LawState>): ControllerOutput<LawState> {
    const urgency = urgencyOf(input, setpoint);
    const urgentLevel = urgency === null ? 0 : input.appliedLevel * urgency.factor;
    const level = Math.min(input.limits.max, Math.max(state.level, state.activeLevel, urgentLevel));
    return { level, state: law.initial(level), reason: `active again: to ${percent(level)}` };
  }

  function govern(input: ControllerInput, state: GuardedState<LawState>): ControllerOutput<LawState> {
    const { limits, appliedLevel } = input;
    const decided = law.step(input, state.law);
    const urgency = urgencyOf(input, setpoint);
    const urgentLevel = urgency === null ? 0 : Math.min(limits.max, appliedLevel * urgency.factor);
    if (urgency !== null && urgentLevel > decided.level) {
      const reason = `${urgency.why}: up to ${percent(urgentLevel)}`;
      return { level: urgentLevel, state: law.initial(urgentLevel), reason };
    }
    const load = filteredLoad(input, state.load);
    const floor = load === null ? 0 : load / utilizationCeiling;
    if (load === null || floor <= decided.level || decided.level >= limits.max) return decided;
    const nearFloor = state.level >= floor && state.level <= floor * FLOOR_MARGIN ** 2;
    const level = Math.min(limits.max, nearFloor ? state.level : floor * FLOOR_MARGIN);
    const reason = `utilisation ceiling at a load of ${percent(load)}: ${percent(level)}`;
    return { level, state: decided.state, reason };
  }

  /** What silence, stall and idle ask for; null while the service is active. */
  function whileInactive(
    { observation, limits, elapsedMs }: ControllerInput,
    { situation, level }: GuardedState<LawState>,
  ): { readonly level: Level; readonly reason: string; readonly situation: Situation } | null {
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
    return forMs < idleAfterMs
      ? { level, reason: `idle for ${figure}: holding`, situation: now }
      : { level: Math.min(level, idleLevel ?? limits.min), reason: `idle for ${figure}: idle level`, situation: now };
  }

  return { name: law.name, initial, step };
}

/** The ceiling's floor moves a little all the time: the level is put this many times above it, and stays while it is near. */
const FLOOR_MARGIN = 1.07;

/** Was the level moved away from the law's while the service was not active? */
function wasMoved({ situation, level, activeLevel }: GuardedState<unknown>): boolean {
  return situation.kind !== 'active' && level !== activeLevel;
}

/** The utilisation is a look at about the last second: less filtering than this would pass its noise on to the level. */
const LOAD_FILTER_MS = 2000;

/** First-order filter over utilisation × level, which does not change when the level does. */
function filteredLoad({ observation, appliedLevel, elapsedMs }: ControllerInput, before: number | null): number | null {
  if (observation.utilization === null) return before;
  const now = observation.utilization * appliedLevel;
  if (before === null) return now;
  return before + (now - before) * -Math.expm1(-elapsedMs / LOAD_FILTER_MS);
}
